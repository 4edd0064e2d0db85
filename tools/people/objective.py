"""The loss of the presets `people` and `people_hd`: true masks, teachers, and outlines that another network sees."""

import torch
import torch.nn.functional as F
from data import AGREED, IGNORED, TEACHER


def loss_of(
    logits, masks, teachers, taught, outlines, teacher_weight: float, dice_weight: float
) -> torch.Tensor:
    """Cross-entropy with outlines weighted 2.5, and Dice of images with people.

    The teacher's share of the target is `teacher_weight` where a mask is, all of it where none is. Pixels on which a
    doubted mask (AGREED) and the teacher differ are left out. In a band about a person's outline MediaPipe Selfie's
    probability is the target, where it has as much person nearby as the mask.

    Args:
        logits: (n, 2, h, w).
        masks: (n, h, w) of 0, 1, 255.
        teachers: (n, h, w), probability of person.
        taught: (n,), see `data.Sample`.
        outlines: (n, h, w), MediaPipe Selfie's probability of person, -1 where nobody was asked.
        teacher_weight: 0-1.
        dice_weight: of the second term.
    """
    score = (logits[:, 1] - logits[:, 0]).float()
    person, known = (masks == 1).float(), masks != IGNORED
    distance, kind = (teachers - person).abs(), taught.view(-1, 1, 1)
    known = known & ~((kind == AGREED) & (distance > 0.5))
    alone, has_teacher = kind == TEACHER, kind > 0
    mixed = (1 - teacher_weight) * person + teacher_weight * teachers
    target = torch.where(known & has_teacher & (distance < 0.6), mixed, person)
    target = torch.where(~known & has_teacher, teachers, target)
    weight = (known & ~alone).float()
    weight = weight + (~known & has_teacher) * torch.where(alone, 0.6, 0.3)
    labels = torch.where(known, person, teachers)[:, None]
    outline = (F.max_pool2d(labels, 7, 1, 3) + F.max_pool2d(-labels, 7, 1, 3))[:, 0].clamp(0, 1)
    exact = trusted(outlines, torch.where(known, person, (teachers > 0.5).float()))
    target = torch.where(exact, outlines, target)
    person = torch.where(exact, (outlines > 0.5).float(), person)
    weight = torch.where(exact, 1.0, weight) * (1 + 1.5 * outline)
    entropy = F.binary_cross_entropy_with_logits(score, target, reduction="none")
    probability, counted = torch.sigmoid(score), ((known | exact) & (weight > 0)).float()
    both = (probability * person * counted).sum((1, 2))
    either = ((probability + person) * counted).sum((1, 2))
    present = ((person * counted).sum((1, 2)) > 60).float() * (taught != TEACHER)
    dice = ((1 - (2 * both + 30) / (either + 30)) * present).sum() / present.sum().clamp(min=1)
    return (entropy * weight).sum() / weight.sum() + dice_weight * dice


def trusted(outlines: torch.Tensor, labels: torch.Tensor, reach: int = 6) -> torch.Tensor:
    """Where outlines may replace labels (n, h, w): within `reach` pixels of the labels' own, and where both agree.

    They agree where, in a square of 4 reach + 1 pixels, of person and of background one has at least half as much as
    the other.
    """
    usable = outlines >= 0
    some = usable.any((1, 2)).nonzero()[:, 0]  # of the batch: the rest costs nothing
    found = torch.zeros_like(usable)
    if len(some):
        labels, outlines = labels[some, None], outlines[some, None]
        band = pooled(F.max_pool2d, labels, reach) + pooled(F.max_pool2d, -labels, reach) > 0
        a, b = (pooled(F.avg_pool2d, maps, 2 * reach) for maps in (outlines.clamp(min=0), labels))
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        agreed = (low > high / 2) & (1 - high > (1 - low) / 2)
        found[some] = (band & agreed)[:, 0] & usable[some]
    return found


def pooled(pool, maps: torch.Tensor, reach: int) -> torch.Tensor:
    """A map pooled over squares of 2 reach + 1 pixels, along one axis after the other."""
    side = 2 * reach + 1
    return pool(pool(maps, (side, 1), 1, (reach, 0)), (1, side), 1, (0, reach))
