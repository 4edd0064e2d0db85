"""A folder made wrong in more than 40 ways, one at a time: each is a problem, and the file is named."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from kseg.cli.main import main
from kseg.data import check

RNG = np.random.default_rng(7)
SIZE = (24, 32)
CLASSES = "background\nroad\ncar\n"


def photo(size=SIZE):
    small = Image.fromarray(RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return small.resize(size[::-1], Image.Resampling.BICUBIC)


def labels(size=SIZE):
    mask = np.zeros(size, np.uint8)
    mask[4:14, 5:25], mask[12:20, 8:12] = 1, 2
    return mask


@pytest.fixture
def root(tmp_path):
    """Three pairs in train and two in val, sound."""
    for split, count in (("train", 3), ("val", 2)):
        for part in ("images", "masks"):
            (tmp_path / part / split).mkdir(parents=True)
        for index in range(count):
            photo().save(tmp_path / f"images/{split}/{index}.jpg", quality=90)
            Image.fromarray(labels()).save(tmp_path / f"masks/{split}/{index}.png")
    (tmp_path / "classes.txt").write_text(CLASSES)
    return tmp_path


def encoded(image, form, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def put(name, data):
    """A fault: this file holds these bytes."""

    def fault(root):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data() if callable(data) else data)
        return path

    return fault


def mask(array_or_image, form="PNG", **settings):
    def data():
        image = array_or_image() if callable(array_or_image) else array_or_image
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        return encoded(image, form, **settings)

    return put("masks/train/1.png", data)


def image(picture, form="PNG", **settings):
    return put("images/train/1.jpg", lambda: encoded(picture, form, **settings))


def jpeg_with(change):
    def data():
        found = bytearray(encoded(photo((96, 128)), "JPEG", quality=92))
        return bytes(change(found))

    return put("images/train/1.jpg", data)


def sized(found, height, width):
    at = found.index(b"\xff\xc0")
    found[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return found


def zeroed(found):
    found[len(found) * 2 // 3 : len(found) * 2 // 3 + 60] = bytes(60)
    return found


def with_values(**where):
    changed = labels()
    for value, rows in where.items():
        changed[rows] = int(value[1:])
    return changed


def removed(name):
    def fault(root):
        (root / name).unlink()
        return root / name

    return fault


def moved(name, to):
    def fault(root):
        (root / to).parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(root / to)
        return root / to

    return fault


def all_masks(array):
    def fault(root):
        for path in root.glob("masks/*/*.png"):
            Image.fromarray(array).save(path)
        return root / "masks"

    return fault


def list_of(text, encoding="utf-8"):
    return put("classes.txt", text.encode(encoding))


def folder_named(name):
    def fault(root):
        (root / name).mkdir()
        return root / name

    return fault


def fifo(root):
    path = root / "images/train/1.jpg"
    path.unlink()
    os.mkfifo(path)
    return path


def link_out(root):
    path = root / "images/train/1.jpg"
    path.unlink()
    path.symlink_to("/etc/hostname")
    return path


def dangling(root):
    path = root / "masks/train/1.png"
    path.unlink()
    path.symlink_to(root / "nowhere.png")
    return path


def palettes_apart(root):
    """The same colours under other indices, as programs write that choose a palette a file."""
    for index, order in (("0", [0, 1, 2]), ("1", [2, 0, 1])):
        drawn = np.array(order, np.uint8)[labels()]
        picture = Image.fromarray(drawn).convert("P")
        colours = np.zeros((3, 3), np.uint8)
        colours[order] = [(0, 0, 0), (200, 10, 10), (10, 200, 10)]
        picture.putpalette(colours.tobytes())
        picture.save(root / f"masks/train/{index}.png")
    return root / "masks/train/1.png"


def no_masks(root):
    for path in root.glob("masks/val/*"):
        path.unlink()
    (root / "masks/val").rmdir()
    return root / "masks/val"


COLOURED = Image.fromarray(np.array([[90, 10, 10], [0, 200, 0], [7, 7, 90]], np.uint8)[labels()])
CAR_EDGE = COLOURED.resize((64, 48), Image.Resampling.BILINEAR).resize((32, 24), Image.Resampling.BILINEAR)
ALPHA = Image.merge("LA", [Image.fromarray(labels()), Image.fromarray(255 - labels() * 100)])
EXIF = Image.Exif()
EXIF[0x0112] = 3
TWELVE_BITS = Image.fromarray(RNG.integers(0, 4000, SIZE, dtype=np.uint16))
FLOATS = Image.fromarray(RNG.random(SIZE, dtype=np.float32))

FAULTS = {
    "image missing": removed("images/train/1.jpg"),
    "mask missing": removed("masks/train/1.png"),
    "mask of another size": mask(labels((25, 32))),
    "mask on its side": mask(labels().T.copy()),
    "id beyond the classes": mask(with_values(v3=slice(20, 22))),
    "id of 16 bits": mask(labels().astype(np.uint16) * 257),
    "id of 16 bits in one pixel": mask(np.where(labels() == 2, np.uint16(700), labels())),
    "fractions in a TIFF": mask(labels().astype(np.float32) / 2, "TIFF"),
    "negative ids in a TIFF": mask(labels().astype(np.int32) - 1, "TIFF"),
    "a photo in place of a mask": mask(photo),
    "a grey photo in place of a mask": mask(lambda: photo().convert("L")),
    "colours that are not declared": mask(COLOURED),
    "antialiased colours": mask(CAR_EDGE),
    "CMYK mask": mask(COLOURED.convert("CMYK"), "TIFF"),
    "JPEG mask": mask(labels(), "JPEG"),
    "lossy WebP mask": mask(labels(), "WEBP", quality=80),
    "JPEG in a TIFF as mask": mask(Image.fromarray(labels()), "TIFF", compression="jpeg"),
    "mask with alpha": mask(ALPHA),
    "mask with an orientation": mask(Image.fromarray(labels()), exif=EXIF),
    "mask of two pages": mask(Image.fromarray(labels()), "TIFF", save_all=True, append_images=[ALPHA.getchannel("L")]),
    "mask that is all ignored": mask(np.full(SIZE, 255, np.uint8)),
    "mask cut short": put("masks/train/1.png", lambda: encoded(Image.fromarray(labels()), "PNG")[:-20]),
    "mask that is empty": put("masks/train/1.png", b""),
    "palettes that disagree": palettes_apart,
    "image cut short": jpeg_with(lambda found: found[: len(found) // 2]),
    "image cut and ended": jpeg_with(lambda found: found[: len(found) // 2] + b"\xff\xd9"),
    "zeros inside of an image": jpeg_with(zeroed),
    "7000x7000 over a small image": jpeg_with(lambda found: sized(found, 7000, 7000)),
    "30000x30000 in the header": jpeg_with(lambda found: sized(found, 30000, 30000)),
    "image that is empty": put("images/train/1.jpg", b""),
    "text with an image's name": put("images/train/1.jpg", b"<html>not found</html>"),
    "a PNG with a wrong checksum": put(
        "images/train/1.jpg", lambda: encoded(photo(), "PNG").replace(b"IDATx", b"IDATy")
    ),
    "a BMP cut short": put("images/train/1.jpg", lambda: encoded(photo(), "BMP")[:-50]),
    "a GIF cut short": put("images/train/1.jpg", lambda: encoded(photo(), "GIF")[:-300]),
    "a WebP cut short": put("images/train/1.jpg", lambda: encoded(photo((96, 128)), "WEBP")[:-80]),
    "animation": image(photo(), "WEBP", save_all=True, append_images=[photo()]),
    "12 bits in a 16-bit image": image(TWELVE_BITS),
    "floats as image": image(FLOATS, "TIFF"),
    "pipe": fifo,
    "link out of the folder": link_out,
    "link to nowhere": dangling,
    "HEIC among the images": put("images/train/new.heic", b"\0\0\0\x18ftypheic"),
    "image without an ending": put("images/train/new", lambda: encoded(photo(), "PNG")),
    "folder with an image's name": folder_named("images/train/new.png"),
    "array among the masks": put("masks/train/new.npy", b"\x93NUMPY"),
    "image beside the split folders": put("images/new.jpg", lambda: encoded(photo(), "JPEG")),
    "mask without an image": put("masks/val/new.png", lambda: encoded(Image.fromarray(labels()), "PNG")),
    "masks of a split that has no images": moved("masks/val/1.png", "masks/test/1.png"),
    "two images of one name": put("images/train/1.png", lambda: encoded(photo(), "PNG")),
    "names that differ in case": moved("masks/train/1.png", "masks/train/1.Png.png"),
    "image in a folder of its own": moved("images/train/1.jpg", "images/train/more/1.jpg"),
    "no folder of masks": no_masks,
    "no images in a split": lambda root: [path.unlink() for path in root.glob("images/val/*")] and root / "images/val",
    "a class that never occurs": list_of(CLASSES + "tree\n"),
    "all masks one value": all_masks(np.ones(SIZE, np.uint8)),
    "0 and 255 with three classes": all_masks(np.where(labels() == 1, 255, 0).astype(np.uint8)),
    "a class twice": list_of("background\nroad\nroad\n"),
    "a colour twice": list_of("background 0 0 0\nroad 1 2 3\ncar 1 2 3\n"),
    "a colour above 255": list_of("background\nroad 1 2 300\ncar\n"),
    "ids from 1 on": list_of("1 background\n2 road\n3 car\n"),
    "all classes in one line": list_of("background, road, car\n"),
    "a class list of a label map": list_of("item {\n  id: 1\n  name: 'road'\n}\n"),
    "a class list in another encoding": list_of("background\nStraße\ncar\n", "latin-1"),
    "a class list without classes": list_of("# nothing\n"),
}  # fmt: skip


def test_the_folder_is_sound(root):
    found = check(root)
    assert found.ok
    assert (found.samples, found.found) == (5, 5)


@pytest.mark.parametrize("name", FAULTS)
def test_fault(root, capsys, name):
    path = FAULTS[name](root)
    assert main(["check-data", str(root), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    problems = [finding for finding in found["findings"] if finding["fatal"]]
    assert any(path.name in finding["message"] for finding in problems) or path == root / "masks"
    assert all(str(root) in finding["message"] or root.name in finding["message"] for finding in problems)


def test_there_are_more_than_forty():
    assert len(FAULTS) > 40
