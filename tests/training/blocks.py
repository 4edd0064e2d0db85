"""Images that a small network learns in a second; nothing here makes a tensor, so that devices can be cut after it."""

import numpy as np

CLASSES = ("ground", "red", "green")
PALETTE = ((0, 0, 0), (200, 0, 0), (0, 200, 0))


class Blocks:
    """Images of 8x8 blocks in the colours of their classes, with noise; a few ignored pixels."""

    def __init__(self, count, seed, size=(24, 33)):
        random = np.random.default_rng(seed)
        blocks = random.integers(0, 3, (count, 5, 5)).repeat(8, 1).repeat(8, 2)[:, : size[0], : size[1]]
        noise = random.integers(0, 56, (*blocks.shape, 3))
        self.images = (np.array(PALETTE)[blocks] + noise).astype("uint8")
        self.labels = np.where(random.random(blocks.shape) < 0.05, 255, blocks).astype("uint8")

    def __len__(self):
        return len(self.images)

    def name_of(self, index):
        return f"blocks{index}"

    def read(self, index):
        return self.images[index], self.labels[index]
