"""Makes the text features that a classifier with objective clip compares images with.

    python -m wsss_core text-features --configfile configs/voc12-clipes.yaml --tower weights/clip-vit-base-patch16 clip

The texts come from the classifier's settings (template, descriptions, background), and the file is its
``text_features``. docs/methods/clipes.md says where to get a tower.
"""

import argparse
import os

from wsss_core.commands.configfile import add_configfile, configuration_files, plan_of
from wsss_core.config.token_classifiers import ClipClassifier
from wsss_core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("classifier", help="name of a classifier in the configuration, with objective clip")
    parser.add_argument(
        "--tower",
        required=True,
        metavar="PATH",
        help="a folder from the hub with CLIP and its tokeniser (read by transformers), or a .safetensors file "
        "(read by open_clip)",
    )
    parser.add_argument("--model", help="for a file: open_clip's name of its network; by default ViT-B-16-quickgelu")
    add_configfile(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    plan = plan_of(options)
    settings = plan.config.classifiers.get(options.classifier)
    if not isinstance(settings, ClipClassifier):
        known = [name for name, other in plan.config.classifiers.items() if isinstance(other, ClipClassifier)]
        files = ", ".join(configuration_files(options))
        raise UserError(
            f"{files}: there is no classifier '{options.classifier}' with objective clip; "
            f"it has {', '.join(known) or 'none'}"
        )
    classes = plan.config.dataset.class_names
    if classes is None:
        from wsss_core.datasets.index import read_classes

        if not os.path.exists(plan.dataset.path("classes.json")):
            raise UserError("the classes are not known yet: `snakemake --cores 1 dataset` finds them in the data set")
        classes = tuple(read_classes(plan.dataset.path("classes.json")))
    from wsss_core.importing.text_features import make_text_features  # imports torch

    texts, background = settings.texts(classes), settings.background_texts()
    length = make_text_features(texts, background, options.tower, settings.text_features, options.model)
    print(f"{settings.text_features}: {len(texts)} classes, {len(background)} of the background, features of {length}")
    return 0
