"""What the page computes is what Python computes."""

import base64

import cv2
import numpy as np
import pytest

import kseg
from kseg.export import load as load_exported
from kseg.models import preset_file
from kseg.webcam import load
from kseg.webcam.smoothing import labels_of

SCORES = """async ([pixels, options]) => {
    const base = document.baseURI;
    const { Engine, readModel } = await import(new URL("engine.mjs", base));
    const engine = await Engine.open(await readModel(), options);
    const rgb = Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0));
    const { values, classes } = await engine.scores(rgb);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    const { backend, precision, threads } = engine;
    engine.close();
    return { data: btoa(text), classes, backend, precision, threads };
}"""
MASKS = """async ([file, view]) => {
    const { Engine, readModel } = await import(new URL("engine.mjs", document.baseURI));
    const engine = await Engine.open(await readModel(), { backend: "wasm" });
    const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const result = await engine.frame(bitmap, view);
    engine.close();
    const { size, rgba } = result.paint;
    let text = "";
    for (let i = 3; i < rgba.length; i += 4) text += String.fromCharCode(rgba[i]);
    return { size, opacity: btoa(text), shares: Array.from(result.shares) };
}"""


def small(frame):
    return cv2.cvtColor(cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def scores(tab, rgb, **options):
    found = tab.evaluate(SCORES, [base64.b64encode(rgb.tobytes()).decode(), options])
    values = np.frombuffer(base64.b64decode(found.pop("data")), np.float32)
    return values.reshape(*rgb.shape[:2], found["classes"]), found


@pytest.mark.parametrize("threads", [1, 2])
def test_int8_scores_are_python_s_bit_for_bit(tab, url, frames, threads):
    rgb = small(frames[0])
    expected = load_exported(preset_file("people", "int8"))(rgb[None])[0]
    found, how = scores(tab(url), rgb, backend="wasm", threads=threads)
    assert (how["precision"], how["threads"]) == ("int8", threads)
    np.testing.assert_array_equal(found, expected)


def test_int8_without_relaxed_simd(tab, serve, copied, frames):
    """Browsers without relaxed SIMD get the runtime's third variant."""
    rgb = small(frames[20])
    worker = (copied / "worker.js").read_text()
    (copied / "worker.js").unlink()
    (copied / "worker.js").write_text(worker.replace("litert.supportsFeature(", "(() => false)("))
    # The runtime asks for itself, too: answer its question as such a browser would.
    index = copied / "runtime" / "2.5.3" / "index.mjs"
    text = index.read_text()
    index.unlink()
    changed = text.replace('await supportsFeature("relaxedSimd")', "false")
    assert changed != text
    index.write_text(changed)
    found, how = scores(tab(serve(copied)), rgb, backend="wasm", threads=2)
    assert how["threads"] == 1
    np.testing.assert_array_equal(found, load_exported(preset_file("people", "int8"))(rgb[None])[0])


def test_float32_scores(tab, serve, runtime, float32_file, frames, tmp_path):
    kseg.export.web(float32_file, tmp_path / "site")
    rgb = small(frames[0])
    found, how = scores(tab(serve(tmp_path / "site")), rgb, backend="wasm")
    expected = load_exported(float32_file)(rgb[None])[0]
    assert how["precision"] == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


def test_float16_on_webgpu(tab, url, site, software_gpu, frames):
    rgb = small(frames[0])
    one = tab(f"{url}?backend=wasm", browser=software_gpu)
    found, how = scores(one, rgb, backend="webgpu")
    assert (how["backend"], how["precision"]) == ("webgpu", "float16")
    expected = load_exported(site / "model_float16.tflite")(rgb[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


def opacity_of(tab, frame, size=None, **view):
    """uint8 (height, width) of the page's mask of a BGR frame, of its own size unless said, and each class's share."""
    file = base64.b64encode(cv2.imencode(".png", frame)[1]).decode()
    view = {"only": None, "background": "none", "smoothing": False, "edges": False, **view}
    found = tab.evaluate(MASKS, [file, view])
    assert found["size"] == list(size or frame.shape[:2])
    return np.frombuffer(base64.b64decode(found["opacity"]), np.uint8).reshape(found["size"]), found["shares"]


@pytest.mark.parametrize("size", [(256, 256), (480, 640), (240, 426)])
def test_the_label_map_is_the_one_of_kseg_webcam(tab, url, frames, size):
    """But for even odds, which a mask of 255 steps cannot show."""
    model, one = load("people"), tab(url)
    for frame in frames[0], frames[25]:
        frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
        probabilities = model(frame)
        person = cv2.resize(np.ascontiguousarray(probabilities[..., 1]), size[::-1])
        opacity, shares = opacity_of(one, frame)
        decided = np.abs(person - 0.5) > 1e-3
        assert decided.mean() > 0.99
        np.testing.assert_array_equal((opacity > 127)[decided], (person > 0.5)[decided])
        assert abs(shares[1] - (probabilities[..., 1] > 0.5).mean()) < 1e-6


def test_the_label_map_of_a_large_frame_and_with_fine_edges(tab, url, frames):
    """The browser shrinks large frames itself, and a grey level more or less turns pixels that are in doubt."""
    model, one = load("people"), tab(url)
    large = cv2.resize(frames[0], (1280, 960), interpolation=cv2.INTER_CUBIC)
    person = cv2.resize(np.ascontiguousarray(model(large)[..., 1]), (640, 480))
    opacity, shares = opacity_of(one, large, size=(480, 640))
    differs = (opacity > 127) != (person > 0.5)
    assert differs.mean() <= 0.02
    assert not differs[np.abs(person - 0.5) > 0.25].any()
    assert abs(shares[1] - (person > 0.5).mean()) < 0.01
    # Fine edges move the outline by a few pixels and leave the rest.
    expected = labels_of(model(frames[0]), (480, 640))
    opacity, _ = opacity_of(one, frames[0], edges=True)
    assert ((opacity > 127) == expected).mean() >= 0.97


def test_the_share_on_the_clip_is_python_s(tab, url, frames):
    model = load("people")
    expected = np.mean([(labels_of(model(frame), (480, 640)) > 0).mean() for frame in frames[::4]])
    one = tab(url).run()
    shares = []
    for _ in range(24):
        one.page.wait_for_timeout(170)
        shares.append(one.share(1))
    assert abs(np.mean(shares) - expected) < 0.02


BLURRED = """async ([pixels, mask, height, width]) => {
    const { blurBehind } = await import(new URL("paint.mjs", document.baseURI));
    const image = new Uint8ClampedArray(pixels);
    blurBehind(image, new Uint8ClampedArray(mask), width, height);
    return Array.from(image);
}"""


def test_the_blurred_background_is_the_backgrounds_alone(tab, url):
    """Three boxes of five pixels over what the mask leaves free, by plain loops; a bright person shines nowhere."""
    rng = np.random.default_rng(0)
    height, width = 9, 16
    image = rng.integers(10, 40, (height, width, 4)).astype(np.uint8)
    mask = np.zeros_like(image)
    image[:, 6:10, :3], mask[:, 6:10, 3], mask[:, 10, 3] = 250, 255, 100
    found = tab(url).evaluate(BLURRED, [image.ravel().tolist(), mask.ravel().tolist(), height, width])
    free = 1.001 - mask[..., 3:] / 255
    values = np.concatenate([image[..., :3] * free, free], -1)
    for axis in (1, 0) * 3:
        padded = np.pad(values, [(2, 2) if a == axis else (0, 0) for a in range(3)], "edge")
        values = np.mean([np.take(padded, range(k, k + values.shape[axis]), axis) for k in range(5)], axis=0)
    found = np.array(found).reshape(image.shape)[..., :3]
    np.testing.assert_allclose(found, values[..., :3] / values[..., 3:], atol=0.51)
    assert found.max() < 50
