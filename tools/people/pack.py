"""Pack images, masks and teachers into a few files that travel to a GPU: tens of megabytes.

    python tools/people/pack.py people --data ../shared/data --out DIR        # after teacher.py
    python tools/people/pack.py camvid --data ../shared/data --out DIR

`people`: DIR/people0.bin, people1.bin and people.json of `[source, split, name, file, offset, bytes of image, mask,
teacher]`. `camvid`: DIR/camvid.bin and camvid.json of `[split, name, offset, bytes of image, mask]`. The .json is
written last.
"""

import argparse
import json
import os
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from listing import Entry, listing

SIDE = 512  # the longest
TEACHER_SIDE = 160
FILE_BYTES = 43_000_000


def people(data: Path, out: Path, limit: int | None = None, side: int = SIDE) -> None:
    """Pack the images of `listing` with what `teacher.py` wrote into `out`."""
    cv2.setNumThreads(1)
    entries, files, index = listing(data, limit), [bytearray(), bytearray()], []
    with Pool(os.cpu_count()) as pool, np.load(out / "teachers.npz") as teachers:
        encoded = pool.imap(partial(_encoded, side=side), entries, chunksize=16)
        for entry, (image, mask) in zip(entries, encoded, strict=True):
            teacher = _teacher(teachers[entry.name]) if entry.name in teachers else b""
            number = 0 if len(files[0]) < FILE_BYTES else 1
            lengths = len(image), len(mask), len(teacher)
            index.append([entry.source, entry.split, entry.image.stem, number, len(files[number]), *lengths])
            files[number] += image + mask + teacher
    for number, content in enumerate(files):
        (out / f"people{number}.bin").write_bytes(content)
    _write_index(out / "people.json", index)


def _encoded(entry: Entry, side: int) -> tuple[bytes, bytes]:
    """The image as WebP and the mask as PNG, their longest side at most `side`."""
    image, mask = cv2.imread(str(entry.image)), entry.read_mask()
    height, width = image.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if factor < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    packed = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 84])[1].tobytes()
    if mask is None:
        return packed, b""
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    return packed, cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def _teacher(probability: np.ndarray) -> bytes:
    """As WebP; one byte where nobody is seen."""
    if not probability.any():
        return b"0"
    small = cv2.resize(probability, (TEACHER_SIDE, TEACHER_SIDE), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 75])[1].tobytes()


def camvid(data: Path, out: Path, limit: int | None = None) -> None:
    """Pack CamVid's train and val as JPEG of quality 88 and PNG."""
    content, index = bytearray(), []
    for split in ("train", "val"):
        images = sorted((data / "camvid/images" / split).iterdir())
        for path in images[:: max(1, len(images) // limit)] if limit else images:
            mask = cv2.imread(str(data / "camvid/masks" / split / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
            encoded = (
                cv2.imencode(".jpg", cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes(),
                cv2.imencode(".png", mask)[1].tobytes(),
            )
            index.append([split, path.stem, len(content), *map(len, encoded)])
            content += b"".join(encoded)
    (out / "camvid.bin").write_bytes(content)
    _write_index(out / "camvid.json", index)


def _write_index(path: Path, index: list) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(index), encoding="utf-8")
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = {"people": people, "camvid": camvid}
    parser.add_argument("what", choices=ways)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--limit", type=int, help="of images, to try it")
    parser.add_argument("--side", type=int, default=SIDE, help=f"the longest, of people ({SIDE})")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    more = {"side": args.side} if args.what == "people" else {}
    ways[args.what](args.data, args.out, args.limit, **more)


if __name__ == "__main__":
    main()
