"""MediaPipe Tasks takes kseg's .tflite files, makes probabilities of their output and names their classes."""

import base64
import os
import shutil

import cv2
import keras
import numpy as np
import pytest

import kseg
from kseg.models import preset_file
from kseg.webcam.segmentation import softmax

SEGMENT = """async ([model, file]) => {
    const { FilesetResolver, ImageSegmenter } = await import(new URL("vision_bundle.mjs", document.baseURI));
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const vision = await FilesetResolver.forVisionTasks(new URL("wasm", document.baseURI).href);
    const segmenter = await ImageSegmenter.createFromOptions(vision, {
        baseOptions: { modelAssetBuffer: bytes(model), delegate: "CPU" },
        runningMode: "IMAGE", outputConfidenceMasks: true, outputCategoryMask: false,
    });
    const bitmap = await createImageBitmap(new Blob([bytes(file)], { type: "image/png" }));
    const labels = segmenter.getLabels();
    const result = segmenter.segment(bitmap);
    const masks = result.confidenceMasks.map((mask) => Array.from(mask.getAsFloat32Array()));
    result.close();
    segmenter.close();
    return { labels, masks };
}"""


@pytest.fixture(scope="module")
def segment(tasks_vision, chromium, serve, tmp_path_factory):
    """Labels and masks (H, W, classes) that MediaPipe gives for a model file and an RGB image."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(tasks_vision / "wasm", folder / "wasm", copy_function=os.link)
    shutil.copy(tasks_vision / "vision_bundle.mjs", folder)
    (folder / "index.html").write_text("<!doctype html><title>MediaPipe</title>")
    page = chromium.new_page()
    page.goto(serve(folder, plain=True))

    def run(path, image):
        png = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        files = [base64.b64encode(content).decode() for content in (path.read_bytes(), png)]
        found = page.evaluate(SEGMENT, files)
        return found["labels"], np.stack(found["masks"], -1).reshape(*image.shape[:2], -1)

    yield run
    page.close()


@pytest.fixture(scope="module")
def image(frames):
    return cv2.resize(frames[0], (256, 256), interpolation=cv2.INTER_AREA)[..., ::-1]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_preset(segment, image, float32_file, precision):
    path = preset_file("people", "int8") if precision == "int8" else float32_file
    labels, masks = segment(path, image)
    assert labels == ["background", "person"]
    expected = softmax(kseg.export.load(path)(image[None])[0])
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-3)
    np.testing.assert_allclose(masks, expected, atol=0.02)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_many_classes_and_a_softmax_inside(segment, image, tmp_path, activation):
    given = keras.Input((256, 256, 3))
    scaled = keras.layers.Rescaling(1 / 255)(given)
    layer = keras.layers.Conv2D(4, 1, activation=activation)
    model = keras.Model(given, layer(scaled))
    layer.set_weights([np.random.default_rng(0).normal(0, 3, (1, 1, 3, 4)), np.array([0, 0.5, -0.5, 0.2])])
    model.classes = ("sky", "road", "traffic light", "tree")
    kseg.export.tflite(model, tmp_path / "m.tflite")
    labels, masks = segment(tmp_path / "m.tflite", image)
    assert labels == ["sky", "road", "traffic light", "tree"]
    output = model(image[None].astype("float32")).numpy()[0]
    np.testing.assert_allclose(masks, output if activation else softmax(output), atol=1e-3)
