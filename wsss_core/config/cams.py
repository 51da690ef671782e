"""Settings of the stage `cams`: how class maps are drawn from a trained classifier."""

from typing import Literal

from pydantic import Field, model_validator

from wsss_core.config.background import Threshold
from wsss_core.config.guesses import Guesses
from wsss_core.config.numbers import Weight
from wsss_core.config.parameters import Scales
from wsss_core.config.refinement import AttentionSpreading


class Cams(Guesses):
    """What all CAM methods have in common. Subclasses add their method's settings."""

    classifier: str
    """Name of a variant in ``classifiers``."""
    threshold: Threshold = Threshold(fixed=0.15)
    """The seed's background score: a pixel whose largest CAM value is not above it is background. The maps do not
    depend on it; the seed's score, the CRF-refined seed and what else is a multiple of it do."""
    high_res: bool = True
    """Keep the maps at image size as well as at a quarter of it."""
    precision: Literal["float16", "float32"] = "float16"
    """Number format of the stored maps."""
    arithmetic: Literal["float32", "tf32", "bfloat16", "float64"] = "float32"
    """Number format that the network computes in. ``tf32`` lets GPUs since NVIDIA's Ampere round the factors of
    convolutions to 11 bits; other devices compute in float32. ``bfloat16`` lets the trunk compute in it: twice as fast
    on processors that have it, and meant for the same GPUs (not measured there). Both change the maps a little (see
    ``docs/performance.md``). ``float64`` takes twice to many times as long; it is for comparisons, as AdvCAM's climb
    multiplies rounding errors."""


class MultiscaleCams(Cams):
    """The baseline: the classifier's own class maps, summed over scales and mirror images."""

    method: Literal["multiscale"] = "multiscale"
    """IRN ``step/make_cam.py``; with the other values of the last two keys, OC-CSE's and AEFT's inference."""
    scales: Scales = (0.5, 1.0, 1.5, 2.0)
    """The image is seen at these multiples of its size; the maps are summed."""
    flip: bool = True
    """See the mirrored image too and add its maps, mirrored back."""
    rectify: Literal["before_resizing", "after_resizing"] = "before_resizing"
    """When negative values become 0: before the maps are brought to the image's size, as in IRN and AffinityNet, or
    after, as in OC-CSE and AEFT."""
    resize_to_multiple: int = Field(16, ge=1, le=512)
    """``high_res`` maps are resized to the image's size rounded up to a multiple of this, and cropped: 16 in IRN, 1
    in AffinityNet, OC-CSE and AEFT."""


class AdvCams(Cams):
    """AdvCAM: the image climbs the class's logit, and the maps seen on the way are summed."""

    method: Literal["advcam"] = "advcam"
    """AdvCAM ``obtain_CAM_masking.py`` (Lee et al., CVPR 2021); climbs on any classifier."""
    scales: Scales = (0.5, 1.0, 1.5, 2.0)
    """The image is seen at these multiples of its size; the maps are summed."""
    steps: int = Field(27, ge=1, le=1_000)
    """Maps summed per scale: the clean image's and those after 1 to steps - 1 changes. As in the authors'
    code, scales below 1 take half as many (rounded down) from 11 on, five from 6 to 10; see
    ``steps_below_scale_1``."""
    step_size: float = Field(0.08, ge=1e-6, le=100)
    """Largest change of a (normalised) pixel value in one step. The paper's text has 0.008."""
    regularisation: Weight = 7.0
    """Weight of the term that keeps already discriminative regions from growing further (lambda).
    It scales with the classifier's logits."""
    mask_threshold: float = Field(0.5, ge=0, le=1)
    """Share of the map's maximum above which a region counts as already discriminative (tau)."""
    suppress_other_classes: bool = True
    """Push the logits of all other classes down while the class's own is pushed up."""
    steps_below_scale_1: Literal["fewer", "all"] = "fewer"
    """Scales below 1 take fewer steps, as in the authors' code, or all, as the paper has no exception."""
    score_every_step: bool = False
    """Also score the seed after 1, 2, ... ``steps`` steps, as the paper plots it, and which regions of the maps grow:
    the images that are scored (``dataset.score_on``) climb once for all of these. No map depends on it."""


class SeenetCams(Cams):
    """SeeNet: the larger of two branches' maps, and of the image's and the mirrored image's."""

    method: Literal["seenet"] = "seenet"
    """SeeNet ``vis.ipynb`` and ``crelu_layer.py`` (Hou et al., NeurIPS 2018); for a classifier with objective
    ``seenet``."""
    size: int | None = Field(256, ge=16, le=4_096)
    """Height and width that an image is resized to, whatever its shape; ``null`` keeps its own size."""
    scales: Scales = (1.0,)
    """The image is seen at these multiples of that size; the fused maps are summed. The authors see one."""
    flip: bool = True
    """See the mirrored image too."""
    high_threshold: float = Field(0.8, gt=0, lt=1)
    """Above this share of its maximum the first branch's attention is erased for the second. The authors train with
    0.7 and test with 0.8."""
    low_threshold: float = Field(0.0, ge=0, lt=1)
    """Below this share background features are reversed in sign; with the authors' 0 none is. The paper has 0.05."""
    attend_to: Literal["one_class", "earlier_classes"] = "earlier_classes"
    """Whose attention is erased when a class's map is drawn: its own, or, as in the authors' code, which never clears
    its labels, also that of the image's classes before it."""

    @model_validator(mode="after")
    def _thresholds_rise(self) -> "SeenetCams":
        if self.low_threshold >= self.high_threshold:
            raise ValueError("'low_threshold' must be below 'high_threshold'")
        return self


class ClassAttentionCams(Cams):
    """MCTformer+: attention of class tokens to patches, joined with class maps, spread along the patches' attention."""

    method: Literal["class_attention"] = "class_attention"
    """MCTformer+ (Xu et al., TPAMI 2024); for a classifier with objective ``mctformer``. Each class's map is scaled by
    its minimum and maximum."""
    scales: Scales = (1.0, 0.75, 1.25)
    """The image is seen at these multiples of its size; the maps are summed. What makes no whole patch at the bottom
    and the right is not seen, and the map is stretched over the image, as in the authors' code."""
    flip: bool = True
    """See the mirrored image too and add its maps, mirrored back."""
    layers: int = Field(12, ge=1, le=1_000)
    """The mean of the class tokens' attention is taken over so many blocks, the last ones; over all if there are
    fewer."""
    evidence: Literal["joined", "class_attention", "patches"] = "joined"
    """What is drawn: the geometric mean of the class tokens' attention and the patches' class map, or one of the
    two."""
    spread: bool = True
    """Let each patch sum the values of the patches that it attends to, over all blocks."""
    arithmetic: Literal["float32", "float64"] = "float32"
    """Number format that the network computes in; ``float64`` is for comparisons."""

    @model_validator(mode="after")
    def _layers_are_used(self) -> "ClassAttentionCams":
        if self.evidence == "patches" and self.layers != type(self).model_fields["layers"].default:
            raise ValueError("'layers' is of the class tokens' attention, which 'evidence: patches' does not look at")
        return self


class ClipGradcamCams(Cams):
    """CLIP-ES: Grad-CAM of a class's probability among the image's classes and the background's texts."""

    method: Literal["clip_gradcam"] = "clip_gradcam"
    """CLIP-ES ``generate_cams_voc12.py`` (Lin et al., CVPR 2023); for a classifier with objective ``clip``. The image
    is seen once, with both sides enlarged to whole patches."""
    spread: AttentionSpreading | None = AttentionSpreading()
    """Spread the maps along the tower's attention, as the authors' seeds are; ``null`` leaves them as they are."""
    arithmetic: Literal["float32", "float64"] = "float32"
    """Number format that the network computes in; ``float64`` is for comparisons. The authors' GPU code has float16."""
