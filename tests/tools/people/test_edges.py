import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.full
TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def edges(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("edges", "score", "data", "pasted", "slices", "teacher", "listing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import edges

    return edges


def test_an_enlarged_share_lies_between_its_neighbours(edges):
    share = np.array([[0.0, 1.0]], np.float32)
    drawn = edges.enlarged(np.stack([1 - share, share], -1), np.zeros((3, 4, 3), np.uint8))
    assert drawn.shape == (3, 4)
    # Centres of the four columns lie at -0.25, 0.25, 0.75 and 1.25 of the two.
    np.testing.assert_allclose(drawn, np.broadcast_to([0, 64, 191, 255], (3, 4)), atol=1)


def test_people_with_known_outlines_alone(edges):
    inside = np.zeros((300, 350, 3), np.uint8), np.zeros((300, 350), np.uint8)
    samples = [
        SimpleNamespace(source=source, count=count, inside=lambda: inside)
        for source, count in (("ccp_people", 1), ("voc_people", 1), ("ccp_people", 0))
    ]
    [(found, known)] = edges.people_of(samples)
    assert found.shape == (300, 350, 3)
    assert known.shape == (300, 350)
    assert not known.any()


def test_scores_of_a_perfect_and_of_a_shifted_answer(edges):
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 1
    image = np.repeat(mask[..., None], 3, -1)

    def sees(image, moved=0):
        person = np.roll(image[..., 0], moved, 1).astype(np.float32)
        return np.stack([1 - person, person], -1)

    assert tuple(edges.scores(sees, edges.enlarged, [(image, mask)])) == (1.0, 1.0)
    iou, f1 = edges.scores(lambda image: sees(image, 10), edges.enlarged, [(image, mask)])
    assert iou == pytest.approx((200 / 600 + 1800 / 2200) / 2)  # half of the square is beside it
    assert 0 < f1 < 1
    assert edges.milliseconds(edges.enlarged, image, sees(image), 3) > 0
