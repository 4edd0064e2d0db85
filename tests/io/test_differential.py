"""300 images and masks in many containers, through kseg's readers and through plain Pillow with the same rules."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from kseg.data import read_image, read_mask
from kseg.errors import DataError

CASES = 150  # of images, and as many of masks


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def encode(image, form, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def random_image(rng):
    """A Pillow image of a random mode and size, a container for it, and its settings."""
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    mode = str(rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "RGB48"]))
    noise = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if mode == "RGB48":  # which Pillow cannot hold
        return rng.integers(0, 65536, (height, width, 3), dtype=np.uint16), "PNG", {}
    if mode == "I;16":
        values = rng.integers(0, 65536, (height, width), dtype=np.uint16)
        values[0, 0] = 65535
        return Image.fromarray(values), str(rng.choice(["PNG", "TIFF"])), {}
    bands = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 1)
    image = Image.fromarray(
        noise[..., :bands].squeeze(-1) if bands == 1 else noise[..., :bands],
        mode=None if bands not in (2, 4) else mode,
    )
    if mode == "1":
        image = image.convert("1", dither=Image.Dither.NONE)
    if mode == "P":
        image = (
            image.convert("P")
            if rng.random() < 0.3
            else Image.fromarray(noise[..., :3]).quantize(int(rng.integers(2, 200)))
        )
    forms = {
        "1": ["PNG", "BMP", "TIFF"],
        "L": ["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"],
        "LA": ["PNG", "TIFF"],
        "P": ["PNG", "BMP", "TIFF", "GIF"],
        "RGB": ["PNG", "JPEG", "BMP", "TIFF", "WEBP"],
        "RGBA": ["PNG", "TIFF", "WEBP", "BMP"],
        "CMYK": ["JPEG", "TIFF"],
    }
    form = str(rng.choice(forms[mode]))
    settings = {
        "JPEG": {"quality": int(rng.integers(30, 99)), "progressive": bool(rng.random() < 0.3)},
        "WEBP": {"lossless": bool(rng.random() < 0.5), "exact": True},
        "TIFF": {"compression": str(rng.choice(["raw", "tiff_lzw", "tiff_adobe_deflate"]))},
        "GIF": {"interlace": int(rng.integers(2))},
    }.get(form, {})
    if form in ("PNG", "JPEG", "WEBP", "TIFF") and rng.random() < 0.5:
        settings["exif"] = exif_of(int(rng.integers(1, 9)))
    return image, form, settings


def pillow_reads(data):
    """What a viewer shows: upright, in RGB, without alpha; 16 bits as 8, white to white."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I;16"):
        grey = np.round(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, -1)
    if image.mode in ("LA", "PA", "P", "RGBA"):
        image.info.pop("transparency", None)
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("seed", range(CASES))
def test_images(seed):
    image, form, settings = random_image(np.random.default_rng((1, seed)))
    if isinstance(image, np.ndarray):
        data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        expected = np.round(image / 257).astype(np.uint8)
    else:
        data = encode(image, form, **settings)
        expected = pillow_reads(data)
    np.testing.assert_array_equal(read_image(data), expected)


COLOURS = tuple(
    (colour, index)
    for index, colour in enumerate([(0, 0, 0), (200, 30, 30), (30, 200, 30), (9, 9, 90), (250, 250, 5)])
)


def random_mask(rng):
    """Ids, a file that holds them in some way, the colours that are declared, and whether it must be refused."""
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    count = int(rng.integers(2, len(COLOURS) + 1))
    ids = rng.integers(0, count, (height, width), dtype=np.uint8)
    if rng.random() < 0.2:
        ids[0, 0] = 255
    lut = np.zeros((256, 3), np.uint8)
    for colour, index in COLOURS:
        lut[index] = colour
    lut[255] = (255, 255, 255)
    colours = (*COLOURS, ((255, 255, 255), 255))
    grey = Image.fromarray(ids)
    kind = str(
        rng.choice(
            [
                "grey",
                "bits",
                "deep",
                "indexed",
                "colours",
                "quantized",
                "equal",
                "float",
                "alpha",
                "lossy",
                "turned",
                "deep colours",
            ]
        )
    )
    any_form = str(rng.choice(["PNG", "BMP", "TIFF", "GIF"]))
    true_form = str(rng.choice(["PNG", "BMP", "TIFF", "WEBP"]))
    lossless = {"lossless": True} if true_form == "WEBP" else {}
    if kind == "grey":
        return ids, encode(grey, str(rng.choice(["PNG", "BMP", "TIFF", "GIF"]))), (), False
    if kind == "bits":
        ids = (ids % 2).astype(np.uint8)
        return (
            ids,
            encode(Image.fromarray(ids * 255).convert("1"), str(rng.choice(["PNG", "BMP", "TIFF"]))),
            (),
            False,
        )
    if kind == "deep":
        return (
            ids,
            encode(Image.fromarray(ids.astype(np.uint16)), str(rng.choice(["PNG", "TIFF"]))),
            (),
            False,
        )
    if kind == "float":
        return ids, encode(Image.fromarray(ids.astype(np.float32)), "TIFF"), (), False
    if kind == "indexed":
        grey.putpalette(lut.tobytes())
        return (
            ids,
            encode(
                grey,
                "GIF" if any_form == "GIF" else any_form,
                **({"optimize": False} if any_form == "GIF" else {}),
            ),
            colours if rng.random() < 0.5 else (),
            False,
        )
    drawn = Image.fromarray(lut[ids])
    if kind == "colours":
        return ids, encode(drawn, true_form, **lossless), colours, rng.random() < 0
    if kind == "quantized":  # the program chooses the indices
        return ids, encode(drawn.quantize(16), any_form), colours, False
    if kind == "equal":
        return ids, encode(Image.merge("RGB", [grey] * 3), true_form, **lossless), (), False
    if kind == "deep colours":
        return (
            ids,
            cv2.imencode(".png", lut[ids][..., ::-1].astype(np.uint16) * 257)[1].tobytes(),
            colours,
            False,
        )
    if kind == "alpha":
        opaque = rng.random() < 0.5
        alpha = np.full(ids.shape, 255, np.uint8)
        if not opaque:
            alpha[-1, -1] = 0
        image = Image.merge("LA", [grey, Image.fromarray(alpha)])
        return ids, encode(image, str(rng.choice(["PNG", "TIFF"]))), (), not opaque
    if kind == "lossy":
        return ids, encode(drawn, str(rng.choice(["JPEG", "WEBP"]))), colours, True
    return (
        ids,
        encode(grey, str(rng.choice(["PNG", "TIFF"])), exif=exif_of(int(rng.integers(2, 9)))),
        (),
        True,
    )


@pytest.mark.parametrize("seed", range(CASES))
def test_masks(seed):
    ids, data, colours, refused = random_mask(np.random.default_rng((2, seed)))
    if refused:
        with pytest.raises(DataError, match=r"^m\.png: .*(lossy|alpha|orientation)"):
            read_mask(data, colours=colours, name="m.png")
    else:
        np.testing.assert_array_equal(read_mask(data, colours=colours), ids)
