"""Outlines that replace labels: where, against a plain loop, and what the loss makes of them."""

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def objective(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("objective", "augment", "cameras", "data"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import objective

    return objective


def disc(size, y, x, radius):
    down, across = np.mgrid[:size, :size]
    return ((down - y) ** 2 + (across - x) ** 2 <= radius**2).astype("float32")


def plain(outlines, labels, reach):
    """`trusted` of one image, pixel by pixel."""
    found = np.zeros(labels.shape, bool)
    for y, x in np.ndindex(labels.shape):
        near = labels[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        wide = np.s_[max(y - 2 * reach, 0) : y + 2 * reach + 1, max(x - 2 * reach, 0) : x + 2 * reach + 1]
        inside = np.s_[max(2 * reach - y, 0) :, max(2 * reach - x, 0) :]
        zeros = [np.zeros((4 * reach + 1,) * 2) for _ in range(2)]
        for filled, of in zip(zeros, (outlines.clip(0), labels), strict=True):
            part = of[wide]
            filled[inside][: part.shape[0], : part.shape[1]] = part
        a, b = (one.mean() for one in zeros)
        alike = min(a, b) > max(a, b) / 2 and 1 - max(a, b) > (1 - min(a, b)) / 2
        found[y, x] = near.min() < near.max() and alike and outlines[y, x] >= 0
    return found


def test_outlines_are_trusted_near_the_labels_own_and_where_both_agree(objective):
    labels = np.stack([disc(40, 20, 15, 11), disc(40, 30, 30, 3), disc(40, 12, 12, 8)])
    outlines = np.stack([disc(40, 21, 16, 10) * 0.9, np.zeros((40, 40)), np.full((40, 40), -1.0)])
    outlines[0, :, 30:] = -1
    labels, outlines = labels.astype("float32"), outlines.astype("float32")
    found = objective.trusted(torch.from_numpy(outlines), torch.from_numpy(labels), reach=3).numpy()
    for one, seen, label in zip(found, outlines, labels, strict=True):
        np.testing.assert_array_equal(one, plain(seen, label, 3))
    assert found[0].sum() > 200
    assert not found[1].any()  # a small person whom the other network does not see stays
    assert not found[2].any()  # it was not asked


def test_the_loss_is_least_at_the_outlines(objective):
    mask = torch.from_numpy(disc(40, 20, 15, 11))[None].to(torch.uint8)
    outlines = torch.from_numpy(disc(40, 21, 16, 10) * 0.96 + 0.02)[None]
    taught, teachers = torch.tensor([objective.TEACHER - 1]), mask.float()  # mask and teacher
    exact = objective.trusted(outlines, mask.float())
    assert 200 < exact.sum() < 1200
    logits = torch.zeros(1, 2, 40, 40, requires_grad=True)
    gradients = []
    for seen in (outlines, torch.full_like(outlines, -1.0)):
        loss = objective.loss_of(logits, mask, teachers, taught, seen, 0.35, 0.0)
        gradients.append(torch.autograd.grad(loss, logits)[0][:, 1])
    told, alone = (gradient < 0 for gradient in gradients)  # where the score of person is to rise
    assert torch.equal(told[exact], outlines[exact] > 0.5)
    assert torch.equal(told[~exact], mask[~exact] == 1)
    assert torch.equal(alone, mask == 1)
    assert (told != alone).any()


def test_only_images_with_people_or_without_a_mask_are_asked(objective):
    import augment

    masks = torch.zeros(5, 8, 12, dtype=torch.uint8)
    masks[:3, :4] = 1
    masks[3] = 255
    images = torch.rand(5, 3, 8, 12) * 255
    taught = torch.tensor([objective.AGREED, objective.AGREED, objective.AGREED, objective.TEACHER, 0])
    asked = []

    def outlines(image):
        asked.append(image)
        return np.full((16, 16), len(asked) / 10, "float32")

    batches = augment.Batches.__new__(augment.Batches)
    batches.outlines = outlines
    found = batches._outlines(images, masks, taught, pasted=1)
    assert [float(one.unique()) for one in found] == pytest.approx([-1, 0.1, 0.2, 0.3, -1])
    np.testing.assert_array_equal(asked[0], images[1].permute(1, 2, 0).numpy())
    batches.outlines = None
    assert (batches._outlines(images, masks, taught, pasted=1) == -1).all()
