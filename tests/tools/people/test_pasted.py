import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture(scope="module")
def pasted():
    spec = importlib.util.spec_from_file_location("pasted", TOOLS / "pasted.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sample(source: str, share: float, colour: int) -> SimpleNamespace:
    """A square image of one colour in a larger one; the right half of it person where there is a share."""
    image, mask = np.full((100, 100, 3), 9, np.uint8), np.full((100, 100), 255, np.uint8)
    image[:80, :60], mask[:80, :60] = colour, 0
    if share:
        image[:80, 30:60], mask[:80, 30:60] = 200, 1
    inside = (image[:80, :60], mask[:80, :60])
    return SimpleNamespace(source=source, share=share, image=image, mask=mask, inside=lambda: inside)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_person_before_a_background(pasted, share):
    background = np.full((120, 150, 3), 30, np.uint8)
    one = sample("ccp_people", 0.5, 100)
    image, mask = pasted.before(
        background, one.image[:80, :60], one.mask[:80, :60], share, np.random.default_rng(1)
    )
    assert mask.mean() == pytest.approx(share, rel=0.1)
    assert set(np.unique(mask)) == {0, 1}
    # The person's colour is where the mask is, the background's elsewhere, and nowhere what stood beside the person.
    inner = np.abs(image.astype(int) - 200).max(-1) < 3
    assert (inner & (mask == 1)).sum() > 0.9 * (mask == 1).sum()
    assert not (inner & (mask == 0)).any()
    outer = (image == 30).all(-1)
    assert (outer & (mask == 0)).sum() > 0.9 * (mask == 0).sum()
    assert np.all(background == 30)


def test_a_person_stays_inside_a_low_background(pasted):
    one = sample("ccp_people", 0.5, 100)
    background = np.zeros((40, 300, 3), np.uint8)
    _, mask = pasted.before(background, one.image[:80, :60], one.mask[:80, :60], 0.9, np.random.default_rng(0))
    assert mask.sum() == 40 * 15  # 80x60 shrunk to 40x30, half of it person


def test_every_second_person_stands_in_a_room(pasted):
    samples = [sample("ccp_people", 0.5, 100)] * 6
    samples += [sample("rooms", 0.0, 20), sample("voc_animals", 0.0, 60), sample("voc_people", 0.5, 0)]
    images, masks = pasted.pasted(samples, 64)
    assert [one.shape for one in images] == [(64, 64, 3)] * 6
    behind = [int(np.median(image[mask == 0])) for image, mask in zip(images, masks, strict=True)]
    assert behind == [60, 20] * 3
    shares = [mask.mean() for mask in masks]
    assert 0.025 < min(shares) < max(shares) < 0.22
    again = pasted.pasted(samples, 64)
    assert all(np.array_equal(a, b) for a, b in zip(images, again[0], strict=True))
    assert pasted.pasted(samples[:6], 64) == ([], [])
