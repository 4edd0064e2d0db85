"""Sides of the speed table that read images: the input pipeline, whole commands, prediction at several scales.

They use CamVid below KSEG_DATA (default: ../shared/data beside the checkout). PyTorch's side of the commands is
in_torch.py, a script of its own.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from peers import channels_last, peer, torch_ready
from sides import BATCH, BESIDE, CROP, IMAGE, Work, _command, _deeplab, _deeplab_in_torch, noise

BATCHES = 10  # of the input pipeline, in one measurement
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def camvid() -> Path:
    folder = Path(os.environ.get("KSEG_DATA", BESIDE / "data")) / "camvid"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there (KSEG_DATA)")
    return folder


def input_kseg() -> Work:
    """Decoded, scaled, mirrored, cropped and recoloured, with nothing kept from the epoch before."""
    import kseg

    colours = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
    augment = kseg.data.Augment(scale=(0.75, 1.5), mirror=True, **colours)
    settings = {"batch_size": BATCH, "size": CROP, "augment": augment, "shuffle": True, "cache": False}
    source = iter(kseg.data.pipeline(kseg.data.load("camvid", camvid()), epochs=None, **settings))
    return lambda: [next(source) for _ in range(BATCHES)]


def input_torch() -> Work:
    """The same by albumentations in a DataLoader with a process for each core."""
    torch, albumentations = torch_ready(), peer("albumentations")
    import in_torch

    augment = albumentations.Compose(
        [
            albumentations.Affine(scale=(0.75, 1.5), fill=127, fill_mask=255),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.RandomCrop(*CROP),
            albumentations.ColorJitter(0.2, 0.2, 0.2, 0, p=1),
        ]
    )

    def batches():
        while True:
            pairs = in_torch.Pairs(camvid(), "train", augment)
            yield from torch.utils.data.DataLoader(
                pairs, BATCH, shuffle=True, num_workers=os.cpu_count() or 1, drop_last=True
            )

    source = batches()
    return lambda: [next(source) for _ in range(BATCHES)]


def evaluate_command() -> Work:
    folder = Path(tempfile.mkdtemp())
    _deeplab().save(folder / "model.keras")
    words = ("--model", str(folder / "model.keras"), "--data", "camvid", "--root", str(camvid()))
    return lambda: _command("evaluate", *words)


def evaluate_torch() -> Work:
    return _torch_command("evaluate", "torchmetrics")


def first_step_command() -> Work:
    """From the shell to the end of the first training step, its checkpoint included."""
    once = ("--epochs", "1", "--steps-per-epoch", "1", "--batch-size", str(BATCH), "--val-split", "none")
    words = ("--model", "deeplabv3plus_efficientnetlite0", "--data", "camvid", "--root", str(camvid()))
    size = tuple(map(str, CROP))
    return lambda: _command("train", *words, *once, "--size", *size, "--out", tempfile.mkdtemp())


def first_step_torch() -> Work:
    return _torch_command("first_step")


def _torch_command(what: str, *packages: str) -> Work:
    for package in ("segmentation_models_pytorch", *packages):
        peer(package)  # which says what is absent
    command = [sys.executable, str(Path(__file__).with_name("in_torch.py")), what, str(camvid())]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return lambda: subprocess.run(command, check=True, **quiet)


def scales_kseg() -> Work:
    """One image at six scales and mirrored, the probabilities averaged."""
    import kseg

    predict = kseg.inference.Predictor(_deeplab(), scales=SCALES, flip=True)
    image = noise(1, IMAGE)[0][0].astype("uint8")
    return lambda: predict(image)


def scales_torch() -> Work:
    torch, model = _deeplab_in_torch()
    resize = torch.nn.functional.interpolate
    model.eval()
    image = channels_last(torch, np.rint(noise(1, IMAGE)[0]))

    def predict() -> object:
        total = 0
        with torch.inference_mode():
            for scale in SCALES:
                size = [max(round(length * scale / 16), 1) * 16 for length in IMAGE]
                scaled = resize(image, size, mode="bilinear")
                both = model(torch.cat([scaled, scaled.flip(3)])).softmax(1)
                both = (both[:1] + both[1:].flip(3)) / 2
                total = total + resize(both, IMAGE, mode="bilinear")
        return total.argmax(1).numpy()

    return predict
