"""Small people with exact outlines: val's people, shrunk and put before images without people.

In photos with a mask small people come with an outline that is ignored (VOC) or among animals; these come without.
"""

import cv2
import numpy as np

PEOPLE = "ccp_people"  # whole bodies, whose outlines are known
SIZE = (360, 480)  # (height, width) of the background
SHARES = (0.03, 0.2)  # of it that is person, evenly on a logarithmic scale


def pasted(samples: list, side: int = 256, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and masks (0, 1) at side x side, one of each person in `PEOPLE` (`data.Sample`).

    Every second one stands in a room, the others before an animal, a vehicle or an everyday scene.
    """
    rng, images, masks = np.random.default_rng(seed), [], []
    empty = [one for one in samples if one.share == 0]
    behind = [
        [one for one in empty if (one.source == "rooms") is indoors] or empty for indoors in (False, True)
    ]
    for number, sample in enumerate(one for one in samples if one.source == PEOPLE and one.share > 0):
        places = behind[number % 2]
        if not places:
            break
        background = cv2.resize(
            places[rng.integers(len(places))].inside()[0], SIZE[::-1], interpolation=cv2.INTER_CUBIC
        )
        share = np.exp(rng.uniform(*np.log(SHARES)))
        image, mask = before(background, *sample.inside(), share, rng)
        images.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
        masks.append(cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST))
    return images, masks


def before(
    background: np.ndarray, image: np.ndarray, mask: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A person before a background, and its mask (0, 1).

    Args:
        background: uint8 (height, width, 3).
        image: uint8, of any size; its person is shrunk or enlarged, but stays within the background's height.
        mask: of the image: 1 person.
        share: of the background that is to be person, 0-1.
        rng: draws where the person stands: anywhere across, in the lower half of the room that is left above.
    """
    height, width = background.shape[:2]
    scale = np.sqrt(share * height * width / (mask == 1).sum())
    scale = min(scale, height / image.shape[0], width / image.shape[1])
    high, wide = (max(1, round(length * scale)) for length in image.shape[:2])
    person = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize((mask == 1).astype(np.float32), (wide, high), interpolation=cv2.INTER_AREA)
    top = height - high - int(rng.uniform(0, (height - high) / 2))
    left = int(rng.uniform(0, width - wide))
    place = np.s_[top : top + high, left : left + wide]
    shown, found = background.astype(np.float32), np.zeros((height, width), np.uint8)
    shown[place] += alpha[..., None] * (person - shown[place])
    found[place] = alpha > 0.5
    return np.round(shown).astype(np.uint8), found
