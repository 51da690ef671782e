"""Variants that need finer maps than their vision transformer has: all its maps have the stride of its patches."""

from collections.abc import Iterable

from wsss_core.config.networks import patch_of
from wsss_core.config.parameters import Parameters
from wsss_core.config.refinement import IRN_STRIDE, AffinityNet, AttentionAffinity, Irn
from wsss_core.config.root import Config
from wsss_core.config.segmentation import DeepLab, DeepLabV3Plus

LOW_LEVEL = 4
"""Stride of the maps that a segmenter's skip connection adds."""


def too_coarse_patches(config: Config) -> Iterable[str]:
    """A line for each affinity or segmenter that needs finer maps than its transformer's patches give."""
    for section, variants in (("affinities", config.affinities), ("segmenters", config.segmenters)):
        for name, settings in variants.items():
            needed, purpose = _finest(settings)
            backbone = _backbone_of(config, settings)
            if isinstance(settings, AttentionAffinity) and backbone and patch_of(config.backbones[backbone]) is None:
                trunk = config.backbones[backbone]
                yield (
                    f"affinities.{name}: method attention looks at a vision transformer's patches, and backbones."
                    f"{backbone} is a {trunk.model or trunk.network}; give it a classifier or backbone with one, such "
                    "as {network: timm, model: deit_small_patch16_224}"
                )
            patch = None if needed is None or backbone is None else patch_of(config.backbones[backbone])
            if needed is not None and patch is not None and patch > needed:
                yield (
                    f"{section}.{name}: {purpose} maps of stride {needed}, and backbones.{backbone}, the vision "
                    f"transformer {config.backbones[str(backbone)].model}, has patches of {patch} pixels; give it a "
                    "backbone with maps of strides 4 to 32, such as resnet50"
                )


def _finest(settings: Parameters) -> tuple[int | None, str]:
    """The stride of the finest maps that a variant needs besides its trunk's last ones, if any, and what needs them."""
    if isinstance(settings, Irn):
        return IRN_STRIDE, "the boundaries of method irn need"
    if isinstance(settings, AffinityNet):
        return settings.stride, f"the grid of 'stride: {settings.stride}' needs"
    if isinstance(settings, DeepLab) and settings.low_level_skip:
        return LOW_LEVEL, "'low_level_skip' joins"
    return (LOW_LEVEL, "network deeplabv3plus joins") if isinstance(settings, DeepLabV3Plus) else (None, "")


def _backbone_of(config: Config, settings: Parameters) -> str | None:
    classifier = getattr(settings, "classifier", None)
    return getattr(settings, "backbone", None) or (
        config.classifiers[classifier].backbone if classifier is not None else None
    )
