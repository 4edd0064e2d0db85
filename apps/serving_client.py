"""Segment images with a served kseg model: sends a file's bytes, gets the mask, writes an overlay.

    python apps/serving_client.py street.jpg holiday/ --model streets                  REST, localhost:8501
    python apps/serving_client.py street.jpg --model streets --grpc localhost:8500     gRPC
    python apps/serving_client.py --camera 0 --model streets --export served/streets/1
    python apps/serving_client.py street.jpg --model streets --parallel 8 --requests 250

The server is TensorFlow Serving (or one that speaks its protocol) with a model that ``kseg export --format
saved_model`` wrote; its signature ``encoded`` is asked. Each image becomes ``<out>/<stem>.png``, a palette PNG
of class ids in the image's own size, and ``<out>/<stem>_overlay.jpg``. With ``--export`` (the exported version's
folder) both have the model's class names and colours. ``--parallel`` and ``--requests`` measure instead: N clients
send M requests each, nothing is written. gRPC needs the package tensorflow-serving-api.

Exit codes: 0 done, 1 an image was refused or an answer was wrong, 2 no server, no such model, or a mistake in
what was given.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from serving_transport import GrpcClient, Refused, RestClient, ServingError, ask

ENDINGS = (".jpg", ".jpeg", ".png")
CAMERA_SECONDS = 10


def find_images(places: list[str]) -> list[Path]:
    """The files, and the JPEG and PNG files of the folders, in order."""
    found = []
    for place in map(Path, places):
        if not place.is_dir():
            if not place.is_file():
                raise ServingError(f"{place}: no such file")
            found.append(place)
            continue
        inside = sorted(p for p in place.iterdir() if p.suffix.lower() in ENDINGS and not p.is_dir())
        if not inside:
            raise ServingError(f"{place}: the folder holds no JPEG or PNG")
        found += inside
    names = Counter(path.stem for path in found)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ServingError(f"two images are named {twice[0]}: their masks would overwrite each other")
    return found


def refuse_overwriting(images: list[Path], out: Path) -> None:
    """Raise ServingError where a mask or an overlay would take the place of an image."""
    sources = {path.resolve() for path in images}
    for path in images:
        for name in (f"{path.stem}.png", f"{path.stem}_overlay.jpg"):
            if (out / name).resolve() in sources:
                raise ServingError(
                    f"{out / name} is one of the images, and would be overwritten: give another --out"
                )


def camera_frame(source: str, seconds: float = CAMERA_SECONDS) -> bytes:
    """One frame of a camera (its number) or a video file as JPEG bytes; a camera that hangs is given up."""
    frames = []

    def read() -> None:
        camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
        frames.append(camera.read()[1])
        camera.release()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(seconds)
    if not frames or frames[0] is None:
        reason = "gives no image" if frames else f"has not answered within {seconds:g} s"
        raise ServingError(f"camera {source} {reason}: is it plugged in and free?")
    return cv2.imencode(".jpg", frames[0], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def upright(data: bytes) -> bytes:
    """The image's bytes; a JPEG that its EXIF turns comes back as a turned PNG, for exports that do not turn it."""
    if b"Exif\0\0" not in data[:65536]:
        return data
    array = np.frombuffer(data, np.uint8)
    try:
        shown, stored = (
            cv2.imdecode(array, cv2.IMREAD_COLOR | flag) for flag in (0, cv2.IMREAD_IGNORE_ORIENTATION)
        )
    except cv2.error:  # more pixels than OpenCV takes: the server says what it thinks of it
        return data
    same = shown is None or (shown.shape == stored.shape and (shown == stored).all())
    return data if same else cv2.imencode(".png", shown)[1].tobytes()


def contents(path: Path) -> bytes:
    """The image's bytes, upright; Refused for a file that cannot be read."""
    try:
        return upright(path.read_bytes())
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from error


def write(stem: str, data: bytes, mask: np.ndarray, out: Path, side: dict) -> None:
    """The mask in the image's size as a palette PNG, and the overlay."""
    from kseg.inference import draw

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise Refused("the server took the image, but OpenCV cannot read it for the overlay")
    labels = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    count = int(labels.max()) + 1
    palette = [tuple(colour) for colour in side.get("palette") or draw.default_palette(count)]
    classes = side.get("classes") or [f"class {number}" for number in range(count)]
    if count > min(len(classes), len(palette)):
        raise ServingError(
            f"{stem}: the mask has class {count - 1}, the export {len(classes)} classes (--export)"
        )
    out.mkdir(parents=True, exist_ok=True)
    draw.write_palette_png(out / f"{stem}.png", labels, palette)
    image = draw.overlay(np.ascontiguousarray(image[..., ::-1]), labels, palette)
    image = draw.with_legend(image, labels, classes, palette)
    part = out / f".{stem}.{os.getpid()}.jpg"
    part.write_bytes(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes())
    os.replace(part, out / f"{stem}_overlay.jpg")


def throughput(
    make: Callable[[], RestClient | GrpcClient],
    images: list[bytes],
    clients: int,
    requests: int,
    retries: int,
) -> dict:
    """N clients that send M requests each at the same time.

    Returns:
        A dict: requests sent and answered, answers a second, median and 95th percentile of the time for one,
        failures by what was said, and `differing`: answers unlike most of those to the same image.
    """
    times, failures, answers = [], Counter(), [Counter() for _ in images]
    counting = threading.Lock()

    def work(first: int) -> None:
        client = make()
        for number in range(first, first + requests):
            start = time.perf_counter()
            try:
                mask = ask(client, images[number % len(images)], retries)
            except ServingError as error:
                with counting:
                    failures[str(error)] += 1
                continue
            spent = time.perf_counter() - start
            with counting:
                times.append(spent)
                answers[number % len(images)][mask.tobytes()] += 1
        client.close()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    ordered = sorted(times) or [float("nan")]
    return {
        "clients": clients,
        "requests": clients * requests,
        "answered": len(times),
        "differing": sum(sum(c.values()) - max(c.values()) for c in answers if c),
        "per_second": len(times) / seconds,
        "median_ms": 1000 * statistics.median(ordered),
        "p95_ms": 1000 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "failures": dict(failures),
    }


def segment(client: RestClient | GrpcClient, args: argparse.Namespace, side: dict) -> int:
    """Ask for every image and write what comes; the exit code."""
    if args.camera is not None:
        jobs = [("camera", None)]
    else:
        images = find_images(args.images)
        refuse_overwriting(images, args.out)
        jobs = [(path.stem, path) for path in images]
    code = 0
    for stem, path in jobs:
        try:
            data = contents(path) if path else camera_frame(args.camera)
            start = time.perf_counter()
            mask = ask(client, data, args.retries)
            spent = 1000 * (time.perf_counter() - start)
            write(stem, data, mask, args.out, side)
        except Refused as error:
            print(f"{path or stem}: {error}", file=sys.stderr)
            code = 1
            continue
        print(f"{path or stem} -> {args.out / stem}.png  {mask.shape[0]}x{mask.shape[1]}  {spent:.0f} ms")
    return code


def measure(make: Callable[[], RestClient | GrpcClient], args: argparse.Namespace) -> int:
    if args.camera is not None:
        images = [camera_frame(args.camera)]
    else:
        images = [contents(path) for path in find_images(args.images)]
    ask(make(), images[0], args.retries)  # a missing server is told once, and the first answer is a slow one
    found = throughput(make, images, args.parallel, args.requests, args.retries)
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['answered']} of {found['requests']} answered, {found['differing']} unlike the others")
        print(
            f"{found['per_second']:.1f} a second with {args.parallel} clients; one takes "
            f"{found['median_ms']:.1f} ms (median), {found['p95_ms']:.1f} ms (95th percentile)"
        )
        for said, count in found["failures"].items():
            print(f"{count} x {said}", file=sys.stderr)
    return 1 if found["answered"] < found["requests"] or found["differing"] else 0


def labelling(folder: str | None) -> dict:
    """The side file of an exported version: class names and palette."""
    if folder is None:
        return {}
    path = Path(folder) / "assets.extra" / "kseg.json"
    try:
        side = json.loads(path.read_text(encoding="utf-8"))
        palette = [tuple(int(value) for value in colour) for colour in side["palette"]]
        classes = [str(name) for name in side["classes"]]
        if any(len(colour) != 3 or not set(colour) <= set(range(256)) for colour in palette):
            raise ValueError("a colour is three numbers of 0-255")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServingError(
            f"{path}: cannot be read; --export is a version's folder such as served/x/1"
        ) from error
    return {"classes": classes, "palette": palette}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("images", nargs="*", metavar="IMAGE", help="JPEG and PNG files, or folders of them")
    made.add_argument("--camera", metavar="N", help="a frame of camera N, or of a video file, instead")
    made.add_argument("--model", required=True, metavar="NAME", help="the name it is served under")
    made.add_argument("--version", type=int, metavar="N", help="default: the latest")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--rest", default="http://localhost:8501", metavar="URL", help="default: %(default)s")
    where.add_argument("--grpc", metavar="HOST:PORT", help="gRPC instead, such as localhost:8500")
    made.add_argument("--out", type=Path, default=Path("masks"), metavar="DIR", help="default: masks")
    made.add_argument("--export", metavar="DIR", help="the exported version's folder, for names and colours")
    made.add_argument("--timeout", type=float, default=10.0, metavar="S", help="for one answer; default: 10")
    made.add_argument("--retries", type=int, default=2, metavar="N", help="where none came; default: 2")
    made.add_argument("--parallel", type=int, metavar="N", help="measure: clients at the same time")
    made.add_argument("--requests", type=int, metavar="M", help="measure: requests of each; default: 100")
    made.add_argument("--json", action="store_true", help="measure: print JSON")
    return made


def main(argv: list[str]) -> int:
    made = parser()
    args = made.parse_args(argv)
    if bool(args.images) == (args.camera is not None):
        made.error("give images, or --camera N")
    if min(args.parallel or 1, args.requests or 1) < 1 or args.retries < 0 or args.timeout <= 0:
        made.error("--parallel, --requests and --timeout are above 0, --retries is not below")
    measuring = args.parallel is not None or args.requests is not None
    args.parallel, args.requests = args.parallel or 1, args.requests or 100

    def make() -> RestClient | GrpcClient:
        kind, server = (GrpcClient, args.grpc) if args.grpc else (RestClient, args.rest)
        return kind(server, args.model, args.version, args.timeout)

    try:
        return measure(make, args) if measuring else segment(make(), args, labelling(args.export))
    except (ServingError, OSError) as error:  # the system's refusals, such as a full disk, name the file
        print(f"serving_client: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
