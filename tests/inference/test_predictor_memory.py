"""Large pictures: cut up unasked, within bounds of memory, with the same result."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from kseg.inference import Predictor, predictor, window_average


@pytest.mark.parametrize(
    "settings", [{"window": 16}, {"window": (9, 30), "scales": (0.7, 1.3), "flip": True}]
)
def test_strips_and_bands_do_not_change_the_result(settings, monkeypatch, picture, net):
    model, image = net(), picture()
    monkeypatch.setattr(window_average, "STRIP_ROWS", 37)
    whole = Predictor(model, **settings).probabilities(image)
    monkeypatch.setattr(window_average, "STRIP_ROWS", 5)
    monkeypatch.setattr(window_average, "SUMS_BYTES", 4000)
    in_strips = Predictor(model, **settings)
    assert len(window_average.column_bands([in_strips._grid((37, 53), 1.0)], (37, 53), 5, 4)) > 3
    np.testing.assert_allclose(in_strips.probabilities(image), whole, atol=1e-6)
    np.testing.assert_array_equal(in_strips(image), in_strips.probabilities(image).argmax(-1))


def test_large_pictures_are_cut_into_windows_unasked(monkeypatch, picture, net, plain):
    monkeypatch.setattr(predictor, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(predictor, "AUTO_WINDOW", (16, 16))
    model, image = net(kernel=1), picture()
    np.testing.assert_array_equal(Predictor(model)(image), plain(model, image).argmax(-1))


@pytest.mark.parametrize("settings", [{}, {"scales": (0.5, 1.5), "flip": True}])
@pytest.mark.full
def test_memory_does_not_grow_with_the_picture(settings, monkeypatch, picture, net):
    """NumPy's memory beyond picture and labels, for a picture of four times the height; 20 classes."""
    monkeypatch.setattr(window_average, "STRIP_ROWS", 16)
    predict = Predictor(net(kernel=1, classes=20), window=32, batch_size=2, **settings)
    extra = {}
    for height in (512, 2048):
        image = picture(height, 48)
        predict(image[:40])  # traced
        tracemalloc.start()
        labels = predict(image)
        extra[height] = tracemalloc.get_traced_memory()[1] - labels.nbytes
        tracemalloc.stop()
    assert extra[2048] < 1.1 * extra[512]
    assert extra[2048] < 2048 * 48 * 20 * 4 / 4  # a quarter of the probabilities as a whole


@pytest.mark.parametrize("settings", [{"size": 16}, {"scales": (0.01, 0.02)}])
def test_memory_does_not_grow_where_one_window_is_the_whole_picture(settings, monkeypatch, picture, net):
    """As a preset's working size makes of every photo."""
    predict = Predictor(net(kernel=1, classes=20), **settings)
    image = picture(2048, 48)
    expected = predict(image)
    monkeypatch.setattr(window_average, "STRIP_BYTES", 64 * 48 * 20 * 4)
    tracemalloc.start()
    labels = predict(image)
    extra = tracemalloc.get_traced_memory()[1] - labels.nbytes
    tracemalloc.stop()
    assert extra < 2048 * 48 * 20 * 4 / 4  # a quarter of the probabilities as a whole
    np.testing.assert_array_equal(labels, expected)


def test_whole_pictures_have_a_gigabyte_of_probabilities_at_most(monkeypatch, net):
    def window(classes, height, width):
        return Predictor(net(classes=classes))._grid((height, width), 1.0).window

    assert window(21, 1999, 2000) == (1999, 2000)
    assert window(21, 2001, 2000) == (1024, 1024)
    assert window(150, 1300, 1300) == (1300, 1300)  # 1.01e9 bytes
    assert window(150, 1400, 1400) == (1024, 1024)
    assert window(2000, 1024, 1024) == (1024, 1024)
    assert window(2000, 500, 2000) == (500, 2000)


HUNDRED_MEGAPIXELS = """
import sys, keras, numpy as np
from kseg.inference import Predictor
image = keras.Input((None, None, 3))
model = keras.Model(image, keras.layers.Conv2D(20, 1)(keras.layers.Rescaling(1 / 100)(image)))
picture = np.tile(np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8), (10, 10, 1))
labels = Predictor(model)(picture)
assert labels.shape == (10_000, 10_000) and labels.dtype == np.uint8
np.testing.assert_array_equal(labels[:1000, :1000], labels[-1000:, -1000:])
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_hundred_megapixels_with_20_classes_fit_into_4_gib():
    done = subprocess.run(
        [sys.executable, "-c", HUNDRED_MEGAPIXELS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 4
