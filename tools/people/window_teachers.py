"""Presets as teachers that see the very windows that a network is trained on, each at its own size."""

import numpy as np
import torch
from teacher import Reference, resized


class WindowTeachers:
    """The mean of several presets' scores of person, and of what they see in the mirror.

    Args:
        files: .tflite files of presets with two classes, background and person.
        threads: of each.
    """

    def __init__(self, files: list[str], threads: int = 1) -> None:
        self.presets = [Reference(file, threads) for file in files]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Probability of person (n, h, w) of images (n, 3, h, w) 0-255."""
        windows = images.permute(0, 2, 3, 1).clamp(0, 255).round().byte().cpu().numpy()
        scores = torch.from_numpy(np.stack([self._score(window) for window in windows]))
        return torch.sigmoid(scores).to(images.device)

    def _score(self, window: np.ndarray) -> np.ndarray:
        found = []
        for preset in self.presets:
            image = resized(window, preset.size)
            for step in (1, -1):
                logits = preset(np.ascontiguousarray(image[:, ::step]))[:, ::step]
                found.append(resized(logits[..., 1] - logits[..., 0], window.shape[:2]))
        return np.mean(found, axis=0)
