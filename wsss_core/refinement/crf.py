"""Dense conditional random field: class scores that follow the edges of an image.

Krähenbühl & Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials"
(NIPS 2011), as wrapped by pydensecrf.
"""

from types import ModuleType

import numpy as np

from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.errors import UserError

WRAPPED_MEANS = (104.008, 116.669, 122.675)
"""The means of blue, green and red that deeplab-pytorch and CLIP-ES subtract."""
SMALLEST_SCORE = 1e-5
"""Scores are clipped here before the logarithm, as in AffinityNet's code."""


class DenseCrf:
    """The CRF of one image, for any number of score maps.

    The two kernels depend only on the image, and setting them up takes much of the time; so one of these serves all
    score maps of an image.
    """

    def __init__(self, image: np.ndarray, labels: int, crf: Crf) -> None:
        """Set up the kernels.

        Args:
            image: uint8 (H, W, 3), RGB.
            labels: L, the number of labels, background included.
            crf: the form of the unary energy, iterations, and deviations and weights of the kernels.

        Raises:
            ValueError: the image is not uint8 (H, W, 3) or ``labels`` is below 1.
            UserError: pydensecrf is not installed.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image is uint8 (H, W, 3), not {image.dtype} of shape {image.shape}")
        if labels < 1:
            raise ValueError(f"a CRF needs at least one label, not {labels}")
        self._shape = (labels, *image.shape[:2])
        self._crf = crf
        if labels == 1:  # there is nothing to decide, and pydensecrf is not needed
            return
        self._field = _import_pydensecrf().DenseCRF2D(image.shape[1], image.shape[0], labels)
        gaussian_sxy, bilateral_sxy = crf.widths(*image.shape[:2])
        if crf.gaussian_compat > 0:
            self._field.addPairwiseGaussian(sxy=gaussian_sxy, compat=crf.gaussian_compat)
        if crf.bilateral_compat > 0:
            self._field.addPairwiseBilateral(
                sxy=bilateral_sxy,
                srgb=crf.bilateral_srgb,
                rgbim=np.ascontiguousarray(image if crf.colours == "rgb" else wrapped_colours(image)),
                compat=crf.bilateral_compat,
            )

    def infer(self, scores: np.ndarray) -> np.ndarray:
        """Mean-field inference from scores or from the labels with the largest scores, depending on the settings.

        The unary energy is ``-log(clip(scores, 1e-5, 1))``, or that of :meth:`infer_from_labels`.

        Args:
            scores: (L, H, W), probabilities or scores in [0, 1]. They need not sum to 1: a common factor of all labels
                of a pixel changes nothing, except through the clipping. Of equal scores, the first label's counts as
                the largest.

        Returns:
            float32 (L, H, W): each label's probability, summing to 1 in every pixel.

        Raises:
            ValueError: ``scores`` have another shape or are not all finite.
        """
        if scores.shape != self._shape:
            raise ValueError(f"scores have the shape {scores.shape}; the CRF was set up for {self._shape}")
        if not np.isfinite(scores).all():
            raise ValueError("scores hold values that are not finite")
        if self._shape[0] == 1:
            return np.ones(self._shape, dtype=np.float32)
        if self._crf.unary == "labels":
            return self.infer_from_labels(scores.argmax(axis=0))
        return self._infer(-np.log(np.clip(scores.astype(np.float32, copy=False), SMALLEST_SCORE, 1.0)))

    def infer_from_labels(self, labels: np.ndarray) -> np.ndarray:
        """Mean-field inference from one label for each pixel, as in IRN's code (``imutils.crf_inference_label``).

        The given label has the settings' probability ``certainty``; the others share the rest.

        Args:
            labels: int (H, W), from 0 to L - 1.

        Returns:
            As :meth:`infer`.

        Raises:
            ValueError: ``labels`` have another size or are out of range.
        """
        number = self._shape[0]
        if labels.shape != self._shape[1:]:
            raise ValueError(f"labels have the shape {labels.shape}; the CRF was set up for {self._shape[1:]}")
        if labels.size and not (labels.min() >= 0 and labels.max() < number):
            raise ValueError(f"labels go from {labels.min()} to {labels.max()}, not from 0 to {number - 1}")
        if number == 1:
            return np.ones(self._shape, dtype=np.float32)
        certainty = self._crf.certainty
        given = labels[None] == np.arange(number)[:, None, None]
        return self._infer(np.where(given, -np.log(certainty), -np.log((1 - certainty) / (number - 1))))

    def _infer(self, unary: np.ndarray) -> np.ndarray:
        flat = unary.astype(np.float32, copy=False).reshape(self._shape[0], -1)
        self._field.setUnaryEnergy(np.ascontiguousarray(flat))
        result = self._field.inference(self._crf.iterations)
        return np.array(result, dtype=np.float32).reshape(self._shape)


def dense_crf(image: np.ndarray, scores: np.ndarray, crf: Crf) -> np.ndarray:
    """Refine the score maps of one image.

    Args:
        image: uint8 (H, W, 3), RGB.
        scores: (L, H, W), values in [0, 1]; see :meth:`DenseCrf.infer`.
        crf: constants of the CRF.

    Returns:
        float32 (L, H, W): each label's probability.

    Raises:
        ValueError: a shape or dtype is wrong, or a score is not finite.
        UserError: pydensecrf is not installed.
    """
    return DenseCrf(image, scores.shape[0], crf).infer(scores)


def wrapped_colours(image: np.ndarray) -> np.ndarray:
    """Colours minus their mean, as deeplab-pytorch and CLIP-ES pass them to a CRF: blue first, cast to 8 bits.

    Args:
        image: uint8 (H, W, 3), RGB.

    Returns:
        uint8 (H, W, 3); values below 0 wrap around to 255 and below.
    """
    centred = image[..., ::-1].astype(np.float32) - np.array(WRAPPED_MEANS, np.float32)
    return np.trunc(centred).astype(np.int32).astype(np.uint8)


def background_score(class_maps: np.ndarray, background: BackgroundScore) -> np.ndarray:
    """The background's score for class maps.

    Args:
        class_maps: (K, H, W), values in [0, 1]; K may be 0.
        background: a constant, or ``alpha`` in ``(1 - largest class value) ** alpha`` (Ahn & Kwak, "Learning
            Pixel-level Semantic Affinity", CVPR 2018, equation 2). A multiple of the seed's threshold has to be
            resolved first.

    Returns:
        float32 (H, W), values in [0, 1].

    Raises:
        ValueError: ``background`` is not resolved.
    """
    shape = class_maps.shape[1:]
    if background.threshold is not None:
        return np.full(shape, background.threshold, dtype=np.float32)
    if background.alpha is None:
        raise ValueError("the background's score is a multiple of a threshold that is not known here")
    largest = class_maps.max(axis=0, initial=0.0).astype(np.float32)
    # Interpolation may exceed 1 by a rounding error, and the power of a negative number would be NaN.
    return np.maximum(1 - largest, 0) ** np.float32(background.alpha)


def with_background(class_maps: np.ndarray, background: BackgroundScore) -> np.ndarray:
    """Score maps with the background first: float32 (1 + K, H, W) from (K, H, W)."""
    first = background_score(class_maps, background)[None]
    return np.concatenate([first, class_maps.astype(np.float32, copy=False)])


def refine(image: np.ndarray, class_maps: np.ndarray, background: BackgroundScore, crf: Crf | None) -> np.ndarray:
    """One label for each pixel: background score, CRF if there is one, largest score.

    Args:
        image: uint8 (H, W, 3), RGB.
        class_maps: (K, H, W), values in [0, 1]; K may be 0.
        background: the background's score.
        crf: constants of the CRF; None leaves it out.

    Returns:
        int64 (H, W): 0 is the background, k + 1 the k-th class map.

    Raises:
        ValueError: as :func:`dense_crf`, or ``background`` is not resolved.
        UserError: as :func:`dense_crf`.
    """
    scores = with_background(class_maps, background)
    return (scores if crf is None else dense_crf(image, scores, crf)).argmax(axis=0)


def _import_pydensecrf() -> ModuleType:
    try:
        import pydensecrf.densecrf
    except ImportError as error:
        raise UserError(
            "the dense CRF needs the Python package pydensecrf2, which is not installed here; "
            "install it (pip install pydensecrf2), or run the stages with a CRF where it is installed"
        ) from error
    return pydensecrf.densecrf
