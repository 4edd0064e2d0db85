"""Predict images: a palette PNG mask of the image's own size, and an overlay with a legend.

NAME.jpg becomes DIR/NAME.png, whose pixels are the class ids, and DIR/NAME_overlay.jpg. An image that cannot
be read is named and left out; the exit code is then 2. A video becomes a video of overlays, of the same size and
frames a second.

  kseg predict photo.jpg --model runs/camvid/best.keras --out predictions
  kseg predict photo.jpg --model runs/stage2/best.keras --proposals 50 --steps steps --out predictions
  kseg predict photo.jpg --model runs/voc/best.keras --out predictions --crf crf.json
  kseg predict images/ 'more/*.png' --model runs/camvid/best.keras --out predictions --skip-existing
  kseg predict images/ --model runs/camvid/best.keras --out predictions --save csv,geojson
  kseg predict test/ --model runs/cityscapes/best.keras --out submission --no-overlay --ids cityscapes
  kseg predict clip.mp4 --model runs/camvid/best.keras --out overlay.mp4 --masks masks
"""

import argparse
import contextlib
import hashlib
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import add_max_pixels, add_prediction, fraction
from kseg.cli.options.crf import add_crf, crf_of
from kseg.cli.options.folders import removed_if_empty
from kseg.cli.options.given import refuse
from kseg.cli.options.model_file import add_model, predictor_of_model
from kseg.cli.terminal import Bar, printed_warnings, terminated_as_interrupted
from kseg.cli.verbs.evaluate import write_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="images, folders, or patterns in quotes")
    add_model(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for the results, or the file for a video"
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="skip images whose results exist already, to resume"
    )
    parser.add_argument("--no-overlay", action="store_true", help="write masks only")
    parser.add_argument(
        "--alpha",
        type=fraction,
        default=0.5,
        metavar="A",
        help="opacity of the classes in the overlay, from 0 (image only) to 1 (default: 0.5)",
    )
    parser.add_argument(
        "--masks", metavar="DIR", help="for a video: also write the mask of each frame into this folder"
    )
    parser.add_argument(
        "--save",
        type=lambda text: [form.strip() for form in text.split(",")],
        default=[],
        metavar="FORMS",
        help="also write some of these, separated by commas: "
        "csv,coco,geojson,polygons,probabilities,confidence,masks (a folder for each class)",
    )
    parser.add_argument(
        "--ids",
        choices=("cityscapes", "ade20k"),
        help="write masks in this benchmark's own ids, for submission (Cityscapes: 7 to 33; ADE20K: 1 "
        "to 150)",
    )
    add_max_pixels(parser)
    add_prediction(parser)
    add_crf(parser)
    parser.add_argument(
        "--steps",
        metavar="DIR",
        help="with --proposals: also draw into this folder how the predictions of the boxes add up",
    )


def run(args: argparse.Namespace) -> int:
    from kseg.errors import SettingsError
    from kseg.inference import predict_files
    from kseg.inference.files.images import find_images

    out = Path(args.out)
    if is_video(args.inputs):
        return predict_clip(args, Path(args.inputs[0]), out)
    refuse(args, "of images the masks are in --out", "masks")
    if args.no_overlay:
        refuse(args, "there is no overlay with --no-overlay", "alpha")
    images = find_images(args.inputs, out)  # a wrong path is reported before the model is read
    if args.steps and not args.proposals:
        raise SettingsError("--steps draws how proposals add up: give --proposals too")
    crf = crf_of(args)
    predictor = predictor_of_model(args, crf)
    bar = Bar("predicting")
    steps = contextlib.nullcontext() if args.steps is None else removed_if_empty(Path(args.steps))
    with removed_if_empty(out), steps, bar, printed_warnings(bar, lambda: f"{images[bar.done]}: "):
        if args.steps:
            Path(args.steps).mkdir(parents=True, exist_ok=True)  # before the work, should it be refused
        summary = predict_files(
            predictor,
            images,
            out,
            overlay=not args.no_overlay,
            alpha=args.alpha,
            skip_existing=args.skip_existing,
            keep_going=True,
            made_by=made_by(args),
            max_pixels=args.max_pixels,
            save=args.save,
            ids=args.ids,
            progress=bar,
        )
    if args.steps:
        done = (*summary.masks, *summary.skipped)
        draw_steps(predictor, done, images, out, Path(args.steps), args.max_pixels)
    for failure in summary.failures:
        print(f"kseg: {' '.join(failure.split())}", file=sys.stderr)
    skipped = f", {len(summary.skipped)} were there already" if summary.skipped else ""
    print(f"{len(summary.masks)} predicted{skipped}, {len(summary.failures)} failed: {out}")
    return 2 if summary.failures else 0


def made_by(args: argparse.Namespace) -> str:
    """A checksum of the models and of every setting that changes a mask, for --skip-existing."""
    from kseg.models import preset_file, presets

    elsewhere = {"inputs", "out", "model", "ensemble", "crf", "skip_existing", "no_overlay", "alpha", "masks"}
    elsewhere |= {"steps", "max_pixels", "run", "verb", "given", "trust"}
    settings = {name: value for name, value in vars(args).items() if name not in elsewhere}
    found = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in (args.model, *(args.ensemble or ()), *([args.crf] if args.crf is not None else [])):
        path = preset_file(name) if name in presets() else Path(name)
        path = (
            path / "card.json" if path.is_dir() else path
        )  # of a preset's folder; it has the file's checksum
        found.update(name.encode() if not path.is_file() else path.read_bytes())
    return found.hexdigest()[:16]


def is_video(inputs: Sequence[str]) -> bool:
    """Whether the one input is a video; SettingsError for a video among others."""
    from kseg.errors import SettingsError
    from kseg.io.video import SUFFIXES

    videos = [name for name in inputs if Path(name).suffix.lower() in SUFFIXES]
    if videos and len(inputs) > 1:
        raise SettingsError(f"{videos[0]}: a video is predicted alone, not together with other inputs")
    return bool(videos)


def predict_clip(args: argparse.Namespace, video: Path, out: Path) -> int:
    """Predict a video into a video; 2 where frames of it were damaged."""
    from kseg.errors import SettingsError
    from kseg.inference import predict_video
    from kseg.io.video import check_pixels
    from kseg.io.video_file import VideoFile

    if args.steps or args.skip_existing or args.no_overlay or args.save or args.ids:
        raise SettingsError(
            "--steps, --skip-existing, --no-overlay, --save and --ids are for images, not for a video"
        )
    check_pixels(video, args.max_pixels)  # a wrong path is reported before the model is read
    VideoFile(out, 25.0)
    predictor = predictor_of_model(args, crf_of(args))
    with Bar("predicting") as bar, printed_warnings(bar), terminated_as_interrupted():
        summary = predict_video(predictor, video, out, masks=args.masks, alpha=args.alpha, progress=bar)
    if summary.damaged:
        numbers = ", ".join(map(str, summary.damaged[:8])) + (", ..." if len(summary.damaged) > 8 else "")
        print(
            f"kseg: {video}: {len(summary.damaged)} damaged frames ({numbers}) show the one before",
            file=sys.stderr,
        )
    if summary.missing:
        print(
            f"kseg: {video}: speaks of {summary.predicted + summary.missing} frames and holds "
            f"{summary.predicted}: {out} is incomplete",
            file=sys.stderr,
        )
    height, width = summary.size
    held = f", {summary.predicted} of {video.name} held for their uneven times" if summary.uneven else ""
    print(f"{summary.frames} frames of {width}x{height} at {summary.fps:g} fps{held}: {out}")
    return 2 if summary.damaged or summary.missing else 0


def draw_steps(
    predictor: Any, masks: Sequence[Path], images: Sequence[Path], out: Path, folder: Path, max_pixels: int
) -> None:
    """``NAME_steps.png`` for every image with a mask: the labels while its boxes come in."""
    from kseg.data import read_image
    from kseg.errors import KsegWarning
    from kseg.inference import Ensemble, proposal_steps
    from kseg.inference.files.plan import plan

    by_proposals = predictor.predictors[0] if isinstance(predictor, Ensemble) else predictor
    jobs = [job for job in plan(images, out) if job.mask in set(masks)]
    folder.mkdir(parents=True, exist_ok=True)
    with Bar("drawing steps") as bar, warnings.catch_warnings():
        warnings.simplefilter("ignore", KsegWarning)  # told while predicting
        for done, job in enumerate(jobs, 1):
            drawn = proposal_steps(by_proposals, read_image(job.image, max_pixels))
            write_image(folder / f"{job.mask.stem}_steps.png", drawn)
            bar(done, len(jobs))
