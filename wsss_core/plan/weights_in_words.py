"""What weights were trained on before, in words."""

from wsss_core.config.stage_settings import stage_settings
from wsss_core.config.trained_on import backbone_trained_on, trained_on
from wsss_core.plan.artifacts import Artifact


def initialisation_in_words(artifact: Artifact) -> str:
    """What the weights of a network were trained on before, from the first training on.

    Args:
        artifact: of the stage ``backbone``, ``classifier`` or ``segmenter``.

    Returns:
        Such as ``ImageNet (torchvision), classifier 'ordinary'``. For weights from a file, it is what the file says
        (:func:`wsss_core.config.trained_on.trained_on`). A segmenter's own training is not mentioned.
    """
    parameters, upstream = artifact.parameters, artifact.upstream
    if artifact.stage == "backbone":
        source = backbone_trained_on(stage_settings("backbones", parameters))
        path = f" ({parameters['weights']})" if parameters["weights"].endswith(".safetensors") else ""
        return f"{source or 'nobody says what'}{path}"
    before = next((upstream[role] for role in ("initial", "start_from", "backbone") if role in upstream), None)
    start = _file_in_words(parameters["weights"]) if before is None else initialisation_in_words(before)
    if "fully_connected" in upstream:
        start += ", fc6 and fc7 too"
    trained_here = artifact.stage == "classifier" and parameters["optimisation"]["epochs"] > 0
    return f"{start}, classifier '{artifact.variant}'" if trained_here else start


def sources_of_weights(artifact: Artifact) -> set[str]:
    """The known sources of all weights that an artifact goes back to, including those that its labels go back to.

    Returns:
        The sources of ImageNet's and timm's weights, and what files say about themselves.
    """
    source = None
    weights = artifact.parameters.get("weights")
    if artifact.stage == "backbone" and weights not in ("pretext", "scratch"):
        source = backbone_trained_on(stage_settings("backbones", artifact.parameters))
    elif artifact.stage in ("classifier", "affinity", "segmenter") and weights:
        source = trained_on(weights)
    sources = set() if source is None else {source}
    return sources.union(*map(sources_of_weights, artifact.upstream.values()))


def _file_in_words(path: str) -> str:
    return f"{trained_on(path) or 'nobody says what'} ({path})"
