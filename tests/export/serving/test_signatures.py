import struct
import zlib

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.export.serving.signatures import decoded, signatures
from kseg.inference import inspect_model


def png_header(width, height):
    """A PNG file that ends after its header."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.fixture
def functions(net):
    found = signatures(
        net, inspect_model(net), size=None, encoded_size=(24, 36), dtype="uint8", confidence=True
    )
    return {
        name: tf.function(f, input_signature=[spec], autograph=False) for name, (f, spec) in found.items()
    }


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_decoded_pictures(pictures, ending):
    data = cv2.imencode(ending, pictures[0][..., ::-1])[1]
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    found = decoded(tf.constant(data.tobytes()), (24, 36))
    np.testing.assert_allclose(found, expected, atol=0 if ending == ".png" else 3)


def test_grey_and_transparent_pictures_have_three_channels():
    for channels in (1, 4):
        data = cv2.imencode(".png", np.full((6, 6, channels), 77, np.uint8))[1].tobytes()
        np.testing.assert_allclose(decoded(tf.constant(data), (3, 4)), np.full((3, 4, 3), 77), atol=1e-3)


def a_jpeg_that_claims(height, width):
    """A whole JPEG file of 64x64 pixels whose header speaks of other sizes."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = bytearray(cv2.imencode(".jpg", pixels)[1].tobytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


BAD = {
    "a small JPEG that claims 7000x7000": a_jpeg_that_claims(7000, 7000),
    "a JPEG cut short": a_jpeg_that_claims(64, 64)[:-900],
    "text": b"this is a letter, not a picture",
    "nothing": b"",
    "a PNG cut short": png_header(8, 8)[:20],
    "a PNG without pixels": png_header(8, 8),
    "a PNG that claims too much": png_header(60_000, 60_000),
    "a PNG that claims the most": png_header(2**32 - 1, 2**32 - 1),
    "a PNG of no size": png_header(0, 8),
    "text behind a JPEG's first bytes": b"\xff\xd8\xff\xe0 and then a letter",
    "65 MB": b"\xff\xd8\xff" + bytes(65_000_000),
}


@pytest.mark.full
@pytest.mark.parametrize("what", BAD)
def test_bytes_that_are_no_picture(functions, what):
    with pytest.raises(tf.errors.InvalidArgumentError):
        functions["encoded"](tf.constant([BAD[what]]))


def test_what_is_said(functions):
    for what, said in (
        ("text", "not a JPEG or PNG"),
        ("a PNG that claims too much", "3600000000"),
        ("a small JPEG that claims 7000x7000", "too few bytes"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=said):
            functions["encoded"](tf.constant([BAD[what]]))


def test_empty_batches(functions):
    with pytest.raises(tf.errors.InvalidArgumentError, match="empty"):
        functions["serving_default"](tf.zeros((0, 24, 36, 3), tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="empty"):
        functions["encoded"](tf.zeros((0,), tf.string))


def test_masks_and_confidence(net, functions, pictures):
    logits = np.asarray(net(np.stack(pictures).astype("float32")), np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = functions["serving_default"](np.stack(pictures))
    assert found["mask"].dtype == tf.uint8
    assert (found["mask"].numpy() == logits.argmax(-1)).mean() > 0.999
    np.testing.assert_allclose(found["confidence"], softmax.max(-1), atol=1e-4)
    files = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in pictures]
    encoded = functions["encoded"](tf.constant(files))
    np.testing.assert_array_equal(encoded["mask"], found["mask"])
    for data, mask in zip(encoded["mask_bytes"].numpy(), encoded["mask"].numpy(), strict=True):
        np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), mask)


@pytest.mark.parametrize("dark", [0, 128, 255])
def test_the_smallest_jpeg_of_many_pixels_passes(dark):
    """One colour, compressed as far as libjpeg can: fewer bytes than any photograph, and whole."""
    flat = np.full((512, 640), dark, np.uint8)
    settings = [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    for more in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
        data = cv2.imencode(".jpg", flat, settings + more)[1].tobytes()
        np.testing.assert_allclose(decoded(tf.constant(data), (8, 8)), np.full((8, 8, 3), dark), atol=2)


@pytest.mark.parametrize("end", ["softmax", "sigmoid"])
def test_confidence_of_a_model_that_gives_probabilities(net, pictures, end):
    """The winning class's probability as the model gives it, not its softmax."""
    ended = keras.Model(net.input, keras.layers.Activation(end)(net.output))
    found = signatures(
        ended, inspect_model(ended), size=None, encoded_size=(24, 36), dtype="uint8", confidence=True
    )
    function, spec = found["serving_default"]
    outputs = tf.function(function, input_signature=[spec], autograph=False)(np.stack(pictures))
    expected = np.asarray(ended(np.stack(pictures).astype("float32")))
    np.testing.assert_allclose(outputs["confidence"], expected.max(-1), atol=1e-5)
    np.testing.assert_array_equal(outputs["mask"], expected.argmax(-1))
