"""Settings of the stage `cams`: how class maps are drawn from a trained classifier."""

from typing import Literal

from pydantic import Field, model_validator

from wsss_core.config.background import Threshold
from wsss_core.config.guesses import Guesses
from wsss_core.config.numbers import Weight
from wsss_core.config.parameters import Scales
from wsss_core.config.spreading import AttentionSpreading


class Cams(Guesses):
    """What all CAM methods have in common. Subclasses add their method's settings."""

    classifier: str
    """Name of a variant in ``classifiers``."""
    threshold: Threshold = Threshold(fixed=0.15)
    """The seed's background score: a pixel whose largest CAM value is not above it is background. The maps do not
    depend on it; the seed's score, the CRF-refined seed and everything that uses ``times_seed_threshold`` do."""
    balance_classes: bool = Field(False, exclude_if=lambda balanced: not balanced)
    """Raise each class's maps to a power that makes their values about as high as the largest values in all images, so
    that one threshold fits all classes better. Needs no masks. The best threshold becomes another one: choose it again,
    or by the rule."""
    high_res: bool = True
    """Keep the maps at image size as well as at a quarter of it."""
    precision: Literal["float16", "float32"] = "float16"
    """Dtype of the stored maps."""
    arithmetic: Literal["float32", "tf32", "bfloat16", "float64"] = "float32"
    """Dtype that the network computes in. ``tf32`` lets GPUs since NVIDIA's Ampere round the factors of
    convolutions to 11 bits; other devices compute in float32. With ``bfloat16`` the trunk computes in that: twice as
    fast on processors that have it, and intended for the same GPUs (not measured there). Both change the maps a little
    (see ``docs/performance.md``). ``float64`` takes two to many times as long; it is for comparisons, as AdvCAM's climb
    amplifies rounding errors."""


class MultiscaleCams(Cams):
    """The baseline: the classifier's own class maps, summed over scales and mirror images."""

    method: Literal["multiscale"] = "multiscale"
    """IRN's ``step/make_cam.py``; with the other values of ``rectify`` and ``resize_to_multiple``, the inference of
    OC-CSE and AEFT."""
    scales: Scales = (0.5, 1.0, 1.5, 2.0)
    """The network sees the image at these multiples of its size; the maps are summed."""
    flip: bool = True
    """Also run the mirrored image, and add its maps, mirrored back."""
    rectify: Literal["before_resizing", "after_resizing"] = "before_resizing"
    """When negative values become 0: before the maps are resized to the image's size, as in IRN and AffinityNet, or
    after, as in OC-CSE and AEFT."""
    resize_to_multiple: int = Field(16, ge=1, le=512)
    """``high_res`` maps are resized to the image's size rounded up to a multiple of this, then cropped: 16 in IRN, 1
    in AffinityNet, OC-CSE and AEFT."""


class AdvCams(Cams):
    """AdvCAM: the image climbs (it is changed step by step to raise the class's logit), and the maps of all steps are
    summed.
    """

    method: Literal["advcam"] = "advcam"
    """AdvCAM's ``obtain_CAM_masking.py`` (Lee et al., CVPR 2021); works with any classifier."""
    scales: Scales = (0.5, 1.0, 1.5, 2.0)
    """The network sees the image at these multiples of its size; the maps are summed."""
    steps: int = Field(27, ge=1, le=1_000)
    """Maps summed per scale: the clean image's and those after 1 to ``steps`` - 1 changes. As in the authors' code,
    scales below 1 take half as many (rounded down) if this is 11 or more, and five if it is 6 to 10; see
    ``steps_below_scale_1``."""
    step_size: float = Field(0.08, ge=1e-6, le=100)
    """Largest change of a (normalised) pixel value in one step. The paper's text has 0.008."""
    regularisation: Weight = 7.0
    """Weight of the term that keeps already discriminative regions from growing further (lambda). It must fit the scale
    of the classifier's logits."""
    mask_threshold: float = Field(0.5, ge=0, le=1)
    """Share of the map's maximum above which a region counts as already discriminative (tau)."""
    suppress_other_classes: bool = True
    """Also lower the logits of all other classes while the class's own is raised."""
    steps_below_scale_1: Literal["fewer", "all"] = "fewer"
    """``fewer``: scales below 1 take fewer steps, as in the authors' code. ``all``: they take all, as the paper
    mentions no exception."""
    score_every_step: bool = False
    """Also score the seed after 1, 2, ... ``steps`` steps, as the paper plots it, and record which regions of the maps
    grow. The scored images (``dataset.score_on``) climb once for all steps. No map depends on it."""


class SeenetCams(Cams):
    """SeeNet: the maximum of the maps of two branches, and of the image and its mirror image."""

    method: Literal["seenet"] = "seenet"
    """SeeNet's ``vis.ipynb`` and ``crelu_layer.py`` (Hou et al., NeurIPS 2018); needs a classifier with objective
    ``seenet``."""
    size: int | None = Field(256, ge=16, le=4_096)
    """Height and width that every image is resized to; ``null`` keeps its own size."""
    scales: Scales = (1.0,)
    """The network sees the image at these multiples of that size; the fused maps are summed. The authors use one."""
    flip: bool = True
    """Also run the mirrored image."""
    high_threshold: float = Field(0.8, gt=0, lt=1)
    """Above this share of its maximum, the first branch's attention is erased for the second branch. The authors train
    with 0.7 and test with 0.8."""
    low_threshold: float = Field(0.0, ge=0, lt=1)
    """Below this share lies background, where the sign of features is reversed. With the authors' 0 there is none; the
    paper has 0.05."""
    attend_to: Literal["one_class", "earlier_classes"] = "earlier_classes"
    """Which attention is erased when a class's map is drawn. ``one_class``: only its own. ``earlier_classes``: also
    that of the image's classes before it, as in the authors' code, which never clears its labels."""

    @model_validator(mode="after")
    def _thresholds_rise(self) -> "SeenetCams":
        if self.low_threshold >= self.high_threshold:
            raise ValueError("'low_threshold' must be below 'high_threshold'")
        return self


class ClassAttentionCams(Cams):
    """MCTformer+: attention of class tokens to patches, joined with class maps, spread along the patches' attention."""

    method: Literal["class_attention"] = "class_attention"
    """MCTformer+ (Xu et al., TPAMI 2024); needs a classifier with objective ``mctformer``. Each class's map is scaled
    by its minimum and maximum."""
    scales: Scales = (1.0, 0.75, 1.25)
    """The network sees the image at these multiples of its size; the maps are summed. Incomplete patches at the bottom
    and right are left out, and the map is stretched over the whole image, as in the authors' code."""
    flip: bool = True
    """Also run the mirrored image, and add its maps, mirrored back."""
    layers: int = Field(12, ge=1, le=1_000)
    """Number of last blocks whose class tokens' attention is averaged; all blocks if there are fewer."""
    evidence: Literal["joined", "class_attention", "patches"] = "joined"
    """What is drawn: the geometric mean of the class tokens' attention and the patches' class map, or only one of the
    two."""
    spread: bool = True
    """Each patch sums the values of the patches that it attends to, over all blocks."""
    arithmetic: Literal["float32", "float64"] = "float32"
    """Dtype that the network computes in; ``float64`` is for comparisons."""

    @model_validator(mode="after")
    def _layers_are_used(self) -> "ClassAttentionCams":
        if self.evidence == "patches" and self.layers != type(self).model_fields["layers"].default:
            raise ValueError("'layers' is for the class tokens' attention, which 'evidence: patches' does not use")
        return self


class ClipGradcamCams(Cams):
    """CLIP-ES: Grad-CAM of a class's probability among the image's classes and the background's texts."""

    method: Literal["clip_gradcam"] = "clip_gradcam"
    """CLIP-ES's ``generate_cams_voc12.py`` (Lin et al., CVPR 2023); needs a classifier with objective ``clip``. The
    network sees the image once, with both sides enlarged to whole patches."""
    spread: AttentionSpreading | None = AttentionSpreading()
    """Spread the maps along the tower's attention, as the authors do for their seeds; ``null`` leaves them as they
    are."""
    arithmetic: Literal["float32", "float64"] = "float32"
    """Dtype that the network computes in; ``float64`` is for comparisons. The authors' GPU code has float16."""
