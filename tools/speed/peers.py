"""What the sides of the speed table need of PyTorch and of packages that lie elsewhere."""

import importlib
import os
import sys

import numpy as np


def torch_ready():
    """PyTorch on all cores."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    return torch


def channels_last(torch, images: np.ndarray):
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


_KEPT = []


def peer(name: str):
    """A package that is measured against, from KSEG_PARITY_PACKAGES too."""
    sys.path.extend(path for path in os.environ.get("KSEG_PARITY_PACKAGES", "").split(os.pathsep) if path)
    if name == "segmentation_models_pytorch":
        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            # Beside a PyTorch of another build its compiled operators, which are not used here, do not load.
            _KEPT.append(torch_ready().library.Library("torchvision", "DEF"))
            for operator in ("nms", "qnms"):
                _KEPT[0].define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            for module in [module for module in sys.modules if module.startswith("torchvision")]:
                del sys.modules[module]
    return importlib.import_module(name)
