"""Show a live overlay of a camera, a video, a folder or a stream.

Keys: q quit, h help, + - paint, m mirror, space pause, . step, c one class, b background, t smoothing, l legend,
r record, s screenshot.

  kseg webcam
  kseg webcam --source clip.mp4 --model runs/camvid/best.keras
  kseg webcam --browser
  kseg webcam --source synthetic --headless --output out.mp4 --max-frames 100 --report report.json
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import height_and_width
from kseg.cli.options.given import refuse
from kseg.cli.options.webcam import add_arguments
from kseg.cli.quiet import import_keras, quietly
from kseg.cli.terminal import Bar, printed_warnings, terminated_as_interrupted
from kseg.webcam.source_name import check_source

__all__ = ["add_arguments", "run"]
MOST_SMOOTHING = 0.98


def run(args: argparse.Namespace) -> int:
    if args.browser:
        return _browser(args)
    if args.port or args.runtime:
        from kseg.errors import SettingsError

        raise SettingsError("kseg webcam --port and --runtime are for --browser")
    _refuse_unused(args)
    check_source(args.source)  # before anything is imported
    from kseg import webcam
    from kseg.webcam.output import check_display

    if not args.headless:
        check_display()  # reported before the model is read
    size = None if args.camera_size is None else tuple(args.camera_size)
    opener = webcam.opener(args.source, size)
    source = opener()
    try:
        webcam.check_opens(args.source, source)
        settings = settings_of(args, source.live)
        if args.precision == "float32" or args.model.lower().endswith(".keras"):
            import_keras()
        with quietly():
            model = webcam.load(
                args.model,
                size=height_and_width(args.size, "--size"),
                threads=args.threads,
                precision=args.precision,
                values=args.input_range,
                output=args.output_kind,
                threshold=args.threshold,
                trust=args.trust,
            )
    except BaseException:
        source.release()
        raise
    if model.gives_ids:
        refuse(args, f"{args.model} gives class ids, of which no average can be taken", "smoothing")
    coloured(model, args.colours)
    opened = [source]  # taken up by the first opening: cameras need a second for each

    def again() -> Any:
        return opened.pop() if opened else opener()

    with Bar("frames") as bar, printed_warnings(bar), terminated_as_interrupted():
        total = args.max_frames or getattr(source, "count", None)
        progress = None if total is None else lambda done: bar(min(done, total), total)
        report = webcam.App(again, model, settings, progress=progress).run()
    return _print_outcome(report, settings)


def _refuse_unused(args: argparse.Namespace) -> None:
    """SettingsError for options that nothing would use."""
    from kseg.errors import SettingsError

    if Path(args.model).suffix.lower() in (".keras", ".tflite", ".onnx"):
        refuse(args, "it is of a preset, and a file has its own", "precision")
        if args.model.lower().endswith(".keras"):
            refuse(args, "a .keras file runs no code", "trust")
    else:
        refuse(args, "it is of another program's model, and a preset takes 0..255", "input_range")
        refuse(args, "presets are trusted", "trust")
    if not (args.source.isdigit() or args.source == "synthetic"):
        refuse(args, "it is asked of a camera", "camera_size")
    if args.headless:
        refuse(args, "screenshots and recordings are made by keys, and --headless takes none", "folder")
    if args.headless and args.output is None and args.report is None:
        raise SettingsError("--headless shows nothing: give --output out.mp4, --report report.json, or both")
    if args.smoothing > MOST_SMOOTHING:
        raise SettingsError(
            f"--smoothing {args.smoothing:g} would keep the first frame's classes: give {MOST_SMOOTHING} at most"
        )


def _browser(args: argparse.Namespace) -> int:
    """Serve the model's page until Ctrl-C; SettingsError for options that the page does not take."""
    from kseg.errors import SettingsError
    from kseg.webcam.web.serve import cached_site, serve

    taken = {"browser", "port", "runtime", "model", "size"}
    other = [name for name in vars(args) if name in args.given - taken]
    if other:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in other)
        raise SettingsError(
            f"kseg webcam --browser does not use {flags}: the page takes --model, --size, --port and --runtime; it has "
            "controls of its own for the camera, smoothing, background and mirror image"
        )
    with terminated_as_interrupted(), Bar("page") as bar, printed_warnings(bar):
        size = height_and_width(args.size, "--size")
        serve(cached_site(args.model, size=size, runtime=args.runtime), args.port)
    return 0


def _print_outcome(report: dict[str, Any], settings: Any) -> int:
    """Print the outcome; 2 where no frame came, or not all that should have."""
    if not report["frames"]:
        from kseg.errors import DataError

        raise DataError(f"no frame came from the source: {report['message'] or 'it is empty'}")
    latency = report["stages"]["latency"]
    print(
        f"{report['frames']} frames, {report['fps']:.1f} fps; from grab to screen "
        f"{latency['p50_ms']:.0f} ms (p95 {latency['p95_ms']:.0f} ms)"
    )
    if report["reopened"]:
        print(f"the source was opened again {report['reopened']} times; what it gave meanwhile is missing")
    if report["damaged"]:
        print(f"{report['damaged']} damaged frames of the source passed over")
    incomplete = "" if report["complete"] else " (incomplete)"
    for path in (settings.output, settings.report):
        if path is not None:
            print(f"written: {path}{incomplete}")
    if not report["complete"]:
        why = report["message"] or f"{report['damaged']} damaged frames"
        print(f"kseg: the source was not read to its end: {' '.join(why.split())}", file=sys.stderr)
    return 0 if report["complete"] else 2


def settings_of(args: argparse.Namespace, live: bool) -> Any:
    """The program's settings; SettingsError for what does not go together."""
    from kseg.errors import SettingsError
    from kseg.io.video_file import VideoFile
    from kseg.webcam import Settings
    from kseg.webcam.view import View

    output, report = (None if name is None else Path(name) for name in (args.output, args.report))
    if output is not None:
        VideoFile(output, 30.0)  # a wrong ending is reported now
        if output.exists() and Path(args.source).is_file() and output.samefile(args.source):
            raise SettingsError(f"--output {output}: it would overwrite the source: choose another name")
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        if report.is_dir():
            raise SettingsError(f"--report {report}: this is a folder; expected the name of a JSON file")
    how, behind = background(args.background)
    paint = 0.5 if how == "picture" else 0.0  # before another background people are shown as they are
    view = View(
        alpha=paint if args.alpha is None else args.alpha,
        mirror=args.source.isdigit() and not args.no_mirror,
        background=how,
        smoothing=args.smoothing > 0,
        legend=not args.no_legend,
    )
    return Settings(
        live=not args.every_frame and (live or not args.headless),
        headless=args.headless,
        output=output,
        max_frames=args.max_frames,
        report=report,
        folder=Path(args.folder),
        view=view,
        background=behind,
        smoothing=args.smoothing,
    )


def background(text: str) -> tuple[str, Any]:
    """(picture, blur or replace, colour or image to put behind) of ``--background``."""
    import re

    from kseg.data import read_image
    from kseg.errors import SettingsError

    green = (0, 160, 80)
    if text in ("picture", "blur"):
        return text, green
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        value = int(text.removeprefix("#"), 16)
        return "replace", (value >> 16, value >> 8 & 255, value & 255)
    if Path(text).is_file():
        return "replace", read_image(text)[..., ::-1].copy()
    raise SettingsError(
        f"--background {text}: neither picture, blur, a colour of six hexadecimal digits, nor an image file"
    )


def coloured(model: Any, colours: str) -> None:
    """Give a model another colour map."""
    from kseg.visualize.palette import default_palette

    count = len(model.classes)
    if colours == "voc":
        model.palette = default_palette(count)
    elif colours == "bright":
        import colorsys

        turns = ((i * 0.618034) % 1 for i in range(count))  # the golden ratio keeps neighbours apart
        model.palette = tuple(tuple(round(255 * v) for v in colorsys.hsv_to_rgb(t, 0.75, 1)) for t in turns)
