"""The page's own arithmetic beside OpenCV, NumPy and kseg.webcam."""

import base64

import cv2
import numpy as np
import pytest

from kseg.webcam.smoothing import Smoothing

CALL = """async ([name, given]) => {
    const mask = await import(new URL("mask.mjs", document.baseURI));
    const kinds = { float32: Float32Array, uint8: Uint8Array };
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
    const read = (one) => (one?.kind ? new kinds[one.kind](bytes(one.data)) : one);
    const result = mask[name](...given.map(read));
    return result && Array.from(result);
}"""


@pytest.fixture(scope="module")
def call(chromium, url):
    """Call a function of mask.mjs with arrays and numbers; gives its array."""
    one = chromium.new_page()
    one.goto(url)

    def run(name, *given):
        sent = [
            {"kind": str(part.dtype), "data": base64.b64encode(part.tobytes()).decode()}
            if isinstance(part, np.ndarray)
            else part
            for part in given
        ]
        found = one.evaluate(CALL, [name, sent])
        return None if found is None else np.array(found)

    yield run
    one.close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("new", [[48, 64], [7, 5], [30, 40], [61, 19]])
def test_resized_is_opencv_s(call, rng, new):
    plane = rng.random((30, 40), np.float32)
    expected = cv2.resize(plane, new[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(call("resized", plane, [30, 40], new).reshape(new), expected, atol=1e-5)


@pytest.mark.parametrize("new", [[48, 64], [7, 5], [30, 40], [61, 19], [11, 15]])
def test_resized_bytes_are_opencv_s(call, rng, new):
    rgba = rng.integers(0, 256, (30, 40, 4), np.uint8)
    rgba[..., 3] = 255
    expected = cv2.resize(rgba, new[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(call("resizedBytes", rgba, [30, 40], new).reshape(*new, 4), expected)


def test_box_mean_is_a_plain_loop(call, rng):
    plane = rng.random((9, 13), np.float32)
    for radius in (1, 4, 20):
        expected = [
            [
                plane[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1].mean()
                for x in range(13)
            ]
            for y in range(9)
        ]
        np.testing.assert_allclose(
            call("boxMean", plane, [9, 13], radius).reshape(9, 13), expected, atol=1e-5
        )


def test_guided_is_the_paper_s_filter_at_one_size(call, rng):
    """At one size it is the guided filter itself, here with OpenCV's box filter away from the border."""
    guide, plane = rng.random((2, 40, 50), np.float32)
    grey = np.round(guide * 255).astype(np.uint8)
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    guide = (grey / 255).astype(np.float32)
    found = call("guided", plane, guide, [40, 50], rgba, [40, 50], 3, 0.01).reshape(40, 50)

    def mean(values):
        return cv2.blur(values, (7, 7))

    slope = (mean(guide * plane) - mean(guide) * mean(plane)) / (
        mean(guide * guide) - mean(guide) ** 2 + 0.01
    )
    expected = np.clip(mean(slope) * guide + mean(mean(plane) - slope * mean(guide)), 0, 1)
    np.testing.assert_allclose(found[8:-8, 8:-8], expected[8:-8, 8:-8], atol=1e-4)


@pytest.mark.parametrize(("shift", "radius"), [(1, 2), (2, 4)])
def test_guided_moves_an_outline_to_an_edge(call, shift, radius):
    """A soft mask that is some pixels off changes its label where the image below it has its edge."""
    image = np.zeros((64, 64), np.uint8)
    image[:, 32:] = 200
    truth = image > 0
    mask = cv2.GaussianBlur(np.roll(truth, shift, axis=1).astype(np.float32), (0, 0), 2)
    mask[:, :8], mask[:, -4:] = 0, 1
    assert ((mask > 0.5) != truth).sum() >= 64 * shift
    rgba = np.dstack([image] * 3 + [np.full_like(image, 255)])
    grey = (image / 255).astype(np.float32)
    found = call("guided", mask, grey, [64, 64], rgba, [64, 64], radius).reshape(64, 64)
    np.testing.assert_array_equal(found > 0.5, truth)


@pytest.mark.parametrize("classes", [2, 5])
def test_smoothing_is_the_one_of_kseg_webcam(call, rng, classes):
    maps = rng.dirichlet(np.full(classes, 0.3), (3, 8, 9)).astype(np.float32)
    smoothing, before = Smoothing(), None
    for now in maps:
        expected = smoothing(now)
        found = call("smoothed", before, now, classes, 0.6, 0.6)
        np.testing.assert_allclose(found.reshape(8, 9, classes), expected, atol=1e-6)
        before = found.astype(np.float32)


@pytest.mark.parametrize("classes", [2, 7])
def test_probabilities_are_a_softmax(call, rng, classes):
    logits = rng.normal(0, 20, (6, 7, classes)).astype(np.float32)
    powers = np.exp(logits.astype(float) - logits.max(-1, keepdims=True))
    found = call("probabilities", logits, classes, "logits").reshape(logits.shape)
    np.testing.assert_allclose(found, powers / powers.sum(-1, keepdims=True), atol=1e-6)
    ready = rng.dirichlet(np.ones(classes), (6, 7)).astype(np.float32)
    np.testing.assert_array_equal(call("probabilities", ready, classes, "probabilities"), ready.ravel())
    assert call("probabilities", np.zeros(4, np.uint8), 1, "class_ids") is None


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_one_channel_is_how_sure_the_object_is(call, kind):
    values = np.array([-3, 0, 2], np.float32) if kind == "logits" else np.array([0, 0.25, 1], np.float32)
    expected = 1 / (1 + np.exp(-values)) if kind == "logits" else values
    found = call("probabilities", values, 1, kind).reshape(3, 2)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_labels_and_membership_agree(call, rng):
    scores = rng.dirichlet(np.ones(5), 200).astype(np.float32)
    labels = scores.argmax(-1)
    np.testing.assert_array_equal(call("labelsOf", scores, 5), labels)
    chosen = [False, True, False, True, False]
    inside = call("membership", scores, 5, chosen)
    np.testing.assert_array_equal(inside > 0.5, np.isin(labels, [1, 3]))
    np.testing.assert_array_equal(
        call("labelsOf", np.full(6, 0.5, np.float32), 3), [0, 0]
    )  # the first of equals
    shares = call("sharesOf", labels.astype(np.uint8), 5)
    np.testing.assert_allclose(shares, np.bincount(labels, minlength=5) / 200, atol=1e-6)


def test_colours(call):
    plane = np.array([0, 0.3, 0.5, 0.7, 1], np.float32)
    found = call("tinted", plane, [10, 20, 30]).reshape(5, 4)
    np.testing.assert_array_equal(found[:, :3], np.broadcast_to([10, 20, 30], (5, 3)))
    np.testing.assert_allclose(found[:, 3], [0, 0, 127.5, 255, 255], atol=1)
    labels = np.array([0, 1, 2, 200], np.uint8)
    painted = call("coloured", labels, [[1, 1, 1], [2, 3, 4], [5, 6, 7]], 0).reshape(4, 4)
    np.testing.assert_array_equal(painted, [[0, 0, 0, 0], [2, 3, 4, 255], [5, 6, 7, 255], [0, 0, 0, 0]])
