"""Exports an experiment's labels to an annotation tool, and imports corrected masks.

    python -m wsss_core labels export --experiment cam --worst 20 --by confidence --format cvat --out to_correct
    python -m wsss_core labels import to_correct --out corrected

With `masks_of: {folder: corrected}`, an experiment then trains its segmenter on the corrected masks, and on the pseudo
labels of all other images; docs/using_it.md goes through it step by step.
"""

import argparse
from pathlib import Path

from wsss_core.annotations.formats import FORMATS
from wsss_core.commands.configfile import add_configfile, plan_of
from wsss_core.correction.choose import Choice, choose
from wsss_core.correction.export_labels import export_labels
from wsss_core.correction.import_labels import import_labels, in_words, some
from wsss_core.correction.made_labels import SPLITS_OF, artifact_of, index_of
from wsss_core.datasets.index import SPLITS
from wsss_core.errors import UserError
from wsss_core.files.writable import check_folder_can_be_written

EXPORT_EXAMPLE = """examples:
  the 20 images with the least confident pseudo labels, for CVAT:
    python -m wsss_core labels export --experiment cam --by confidence --worst 20 --format cvat --out to_correct
  the 20 images that two experiments disagree about most, as polygons for LabelMe:
    python -m wsss_core labels export --experiment cam --by disagreement --with advcam --worst 20 --format labelme \\
        --out to_correct
"""
IMPORT_EXAMPLE = """example:
    python -m wsss_core labels import downloads/cvat.zip --exported to_correct --out corrected
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="direction", required=True, metavar="export|import")
    raw = argparse.RawDescriptionHelpFormatter
    out = commands.add_parser(
        "export", help="write a folder that a tool opens", epilog=EXPORT_EXAMPLE, formatter_class=raw
    )
    out.add_argument("--experiment", required=True, metavar="NAME", help="the experiment that made the labels")
    out.add_argument("--stage", choices=SPLITS_OF, default="pseudo_labels", help="by default pseudo_labels")
    known = "; ".join(f"{name}: {kind.meant_for}" for name, kind in FORMATS.items())
    out.add_argument("--format", choices=FORMATS, default="coco", help=f"{known}; by default coco")
    out.add_argument("--shapes", choices=("masks", "polygons"), help="by default masks; for labelme polygons")
    out.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        metavar="PIXELS",
        help="how far polygons may be from the exact outlines, to have fewer points; by default 1",
    )
    out.add_argument(
        "--by", choices=("confidence", "disagreement"), help="order the images, those most worth correcting first"
    )
    out.add_argument("--with", nargs="+", default=[], dest="others", metavar="NAME", help="experiments to compare with")
    out.add_argument("--list", type=Path, metavar="FILE", help="only images in this text file, one id per line")
    out.add_argument("--worst", type=int, metavar="N", help="only the first N images")
    out.add_argument("--url", metavar="PREFIX", help="address of the images for Label Studio; by default local files")
    out.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    add_configfile(out)
    back = commands.add_parser("import", help="import corrected masks", epilog=IMPORT_EXAMPLE, formatter_class=raw)
    back.add_argument("source", type=Path, metavar="FILE_OR_DIR", help="what the tool wrote, in any of the formats")
    back.add_argument("--exported", type=Path, metavar="DIR", help="the folder of the export, to see what was changed")
    back.add_argument("--unchanged", action="store_true", help="also import masks that nobody changed")
    back.add_argument("--split", choices=SPLITS, default="train", help="the split of the images; by default train")
    back.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of masks to write")
    add_configfile(back)


def run(options: argparse.Namespace) -> int:
    """Write a folder."""
    check_folder_can_be_written(options.out)
    return _export(options) if options.direction == "export" else _import(options)


def _export(options: argparse.Namespace) -> int:
    kind = FORMATS[options.format]
    shapes = options.shapes or kind.shapes[0]
    if shapes not in kind.shapes:
        raise UserError(f"--shapes: {options.format} has only {' and '.join(kind.shapes)}, no {shapes}")
    if not 0 <= options.tolerance < 100:
        raise UserError(f"--tolerance: must be a number of pixels from 0 to 100, not {options.tolerance}")
    plan = plan_of(options)
    artifact = artifact_of(plan, options.experiment, options.stage)
    others = [artifact_of(plan, name, options.stage, "--with") for name in options.others]
    images = index_of(plan).split(SPLITS_OF[options.stage])
    choice = Choice(options.by, options.list, options.worst)
    chosen, worth = choose(choice, artifact, others, images, plan.config.runtime.device)
    export_labels(
        artifact,
        options.experiment,
        images,
        chosen,
        worth,
        options.format,
        shapes,
        options.tolerance,
        options.url,
        options.out,
    )
    print(f"{options.out}: {len(chosen)} images for {kind.meant_for}")
    return 0


def _import(options: argparse.Namespace) -> int:
    index = index_of(plan_of(options))
    found = import_labels(options.source, index, options.split, options.out, options.exported, options.unchanged)
    for name, image_ids in found.new_classes.items():
        print(
            f"note: {len(image_ids)} masks have '{name}', which their images' labels lack, such as {image_ids[0]}; "
            "should the table of labels have it too?"
        )
    if found.background:
        print(f"note: {len(found.background)} masks have no object, only background: {some(found.background)}")
    left_out = found.unchanged or found.empty or found.others or found.missing
    print(f"{options.out}: {len(found.masks)} masks" + (f"; left out: {in_words(found)}" if left_out else ""))
    return 0
