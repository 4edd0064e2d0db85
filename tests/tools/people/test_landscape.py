"""A 16:9 camera's frames made of val's images, and what networks are scored on."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def landscape(monkeypatch):
    pytest.importorskip("torch")  # as the scripts beside it
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("landscape", "data", "slices", "teacher", "listing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import landscape

    return landscape


def sample(height, width, person=None):
    """An image in a square of 512 whose pixels are unlike each other; `person` is a window of it."""
    image = np.random.default_rng(0).integers(1, 256, (512, 512, 3)).astype("uint8")
    mask = np.full((512, 512), 255, "uint8")
    mask[:height, :width] = 0
    if person:
        mask[person] = 1
    return SimpleNamespace(image=image, mask=mask, size=(height, width))


@pytest.mark.parametrize("size", [(400, 300), (300, 500), (90, 160), (101, 333)])
def test_a_crop_is_the_largest_of_its_shape_and_holds_the_person(landscape, size):
    one = sample(*size, person=np.s_[60:80, 10:20])
    image, mask = landscape.cropped(one)
    height, width = mask.shape
    assert width / height == pytest.approx(16 / 9, rel=0.03)
    assert height == size[0] or width == size[1] or height >= size[0] - 1 or width >= size[1] - 1
    assert (mask == 1).sum() == (one.mask == 1).sum()
    assert 255 not in mask
    matches = np.argwhere((one.image[: size[0], : size[1]] == image[0, 0]).all(-1))
    assert any((one.image[y : y + height, x : x + width] == image).all() for y, x in matches)


@pytest.mark.parametrize("size", [(400, 300), (300, 500), (90, 160), (101, 333)])
def test_bars_keep_the_whole_image_in_the_middle(landscape, size):
    one = sample(*size, person=np.s_[0:7, 0:9])
    image, mask = landscape.between_bars(one)
    height, width = mask.shape
    assert width / height == pytest.approx(16 / 9, rel=0.01)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    np.testing.assert_array_equal(
        image[top : top + size[0], left : left + size[1]], one.image[: size[0], : size[1]]
    )
    assert image.sum(dtype=int) == one.image[: size[0], : size[1]].sum(dtype=int)
    assert mask.sum() == 63
    assert mask[top : top + 7, left : left + 9].all()


def test_a_networks_row_is_scored_at_the_frames_own_size(landscape):
    class Red:
        """Sees a person in what is red, at 18x32."""

        size = (18, 32)

        def __call__(self, image):
            assert image.shape == (18, 32, 3)
            return np.stack([np.full(self.size, 127), image[..., 0]], -1).astype("uint8")

    one = sample(90, 160, person=np.s_[:, 0:80])
    one.image[..., 0] = np.where(one.mask == 1, 250, 3)
    one.source = "rooms"
    empty = sample(90, 160)
    empty.image[..., 0] = 3
    empty.source = "rooms"
    cells = landscape.row(Red(), [one, empty], landscape.cropped).split(" | ")
    assert cells == ["-", "-", "-", "-", "1.000", "1.000", "0.0%"]
