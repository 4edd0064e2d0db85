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
    whole = np.s_[:height, :width]
    return SimpleNamespace(image=image, mask=mask, inside=lambda: (image[whole], mask[whole]))


SIZES = [(400, 300), (300, 500), (90, 160), (101, 333)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corner", [(0, 0), (1, 1)])
def test_a_crop_is_the_largest_of_its_shape_and_holds_the_person(landscape, size, corner):
    top, left = ((length - 20) * end for length, end in zip(size, corner, strict=True))
    one = sample(*size, person=np.s_[top : top + 20, left : left + 20])
    image, mask = landscape.cropped(one)
    height, width = mask.shape
    assert width / height == pytest.approx(16 / 9, rel=0.03)
    assert height >= size[0] - 1 or width >= size[1] - 1
    assert (mask == 1).sum() == 400
    assert 255 not in mask
    assert place(one, image) == tuple((a - b) * end for a, b, end in zip(size, mask.shape, corner, strict=True))


def test_without_a_person_the_middle_is_cut_out(landscape):
    one = sample(400, 300)
    image, mask = landscape.cropped(one)
    assert mask.shape == (168, 300)
    assert place(one, image) == (116, 0)


def place(sample, image):
    """Where the image lies in the sample's: (top, left)."""
    height, width = image.shape[:2]
    matches = np.argwhere((sample.image == image[0, 0]).all(-1))
    found = [(y, x) for y, x in matches if np.array_equal(sample.image[y : y + height, x : x + width], image)]
    assert len(found) == 1
    return tuple(map(int, found[0]))


@pytest.mark.parametrize("size", SIZES)
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

    one = sample(90, 160, person=np.s_[:90, 0:80])
    one.image[..., 0] = np.where(one.mask == 1, 250, 3)
    one.source = "rooms"
    empty = sample(90, 160)
    empty.image[..., 0] = 3
    empty.source = "rooms"
    cells = landscape.row(Red(), [one, empty], landscape.cropped).split(" | ")
    assert cells == ["-", "-", "-", "-", "1.000", "1.000", "0.0%"]
