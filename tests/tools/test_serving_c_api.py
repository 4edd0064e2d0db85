"""The proof that a server can use the export: TensorFlow's C library loads it, in a process without its Python."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"

# Runs in a fresh process: imports NumPy and the tool, nothing of TensorFlow or Keras. Prints what it found.
PROGRAM = """
import json, sys
import numpy as np
import serving_c_api as tool
folder, images, out = sys.argv[1:]
model = tool.SavedModel(folder)
with np.load(images) as file:
    images, files = file["images"], [bytes(data) for data in file["files"]]
masks = model.run("serving_default", images=images)
encoded = model.run("encoded", image_bytes=files)
np.savez(out, masks=masks["mask"], confidence=masks["confidence"], encoded=encoded["mask"],
         png=np.frombuffer(encoded["mask_bytes"][0], np.uint8))
bad = {
    "dtype": ("serving_default", {"images": images.astype(np.float32)}),
    "double": ("serving_default", {"images": images.astype(float)}),
    "rank": ("serving_default", {"images": images[0]}),
    "grey": ("serving_default", {"images": images[..., :1]}),
    "alpha": ("serving_default", {"images": np.repeat(images, 2, -1)}),
    "size": ("serving_default", {"images": images[:, :-3]}),
    "empty batch": ("serving_default", {"images": images[:0]}),
    "no bytes": ("encoded", {"image_bytes": []}),
    "garbage": ("encoded", {"image_bytes": [bytes(range(256))]}),
    "text": ("encoded", {"image_bytes": [b"a letter named image.jpg"]}),
    "cut short": ("encoded", {"image_bytes": [files[0][: len(files[0]) // 2]]}),
    "65 MB": ("encoded", {"image_bytes": [files[0] + bytes(65_000_000)]}),
    "signature": ("decoded", {"images": images}),
    "input": ("encoded", {"images": images}),
}
said = {}
for name, (signature, inputs) in bad.items():
    try:
        model.run(signature, **inputs)
        said[name] = ("OK", "")
    except tool.Refused as error:
        said[name] = (error.code, str(error))
codes = []
for argv in ([folder, "gone.png"], ["gone", "gone.png"]):
    try:
        codes.append(tool.main(argv))
    except SystemExit as left:
        codes.append(left.code)
foreign = [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras", "kseg")]
print(json.dumps({"signatures": model.signatures, "said": said, "foreign": foreign, "codes": codes}))
"""


@pytest.fixture(scope="module")
def answered(served):
    """What the process without TensorFlow's Python found and said."""
    width = max(map(len, served.files))  # zeros behind a PNG's end change nothing
    files = [np.frombuffer(data.ljust(width, b"\0"), np.uint8) for data in served.files]
    np.savez(served.base / "in.npz", images=served.images, files=files)
    paths = [str(served.base / name) for name in ("1", "in.npz", "out.npz")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *paths], cwd=TOOLS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(paths[2]) as file:
        return dict(file), json.loads(done.stdout.splitlines()[-1])


def test_no_python_of_tensorflow_was_there(answered):
    said = answered[1]
    assert said["foreign"] == []
    assert said["codes"] == [1, 2]  # an image that is not there, a model that is not there
    assert said["signatures"] == ["encoded", "serving_default"]


def test_the_masks_are_those_of_keras_bit_for_bit(served, answered):
    found = answered[0]
    logits = np.asarray(served.network(served.images.astype("float32")))
    assert len(np.unique(logits.argmax(-1))) > 1
    np.testing.assert_array_equal(found["masks"], logits.argmax(-1))
    np.testing.assert_array_equal(found["encoded"], found["masks"])
    np.testing.assert_array_equal(cv2.imdecode(found["png"], cv2.IMREAD_UNCHANGED), found["masks"][0])
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found["confidence"], softmax.max(-1), atol=1e-5)


def test_bad_input_is_an_invalid_argument_with_a_sentence(answered):
    said = answered[1]["said"]
    assert {name: code for name, (code, _) in said.items()} == dict.fromkeys(said, "INVALID_ARGUMENT")
    expected = {
        "rank": "[30,42,3]",
        "grey": "[?,30,42,3]",
        "empty batch": "empty",
        "no bytes": "empty",
        "text": "not a JPEG or PNG",
        "65 MB": "more than",
        "signature": "no signature 'decoded'",
    }
    for name, words in expected.items():
        assert words in said[name][1].replace("]]", "]"), (name, said[name][1][:300])
