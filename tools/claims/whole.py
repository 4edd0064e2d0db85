"""Whole networks: claims about training that heads on a frozen backbone cannot test."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

import kseg
from kseg.backbones import EfficientNetLite
from kseg.data import Dataset
from kseg.errors import SettingsError
from kseg.inference import Ensemble, Predictor, ProposalCache, ProposalPredictor
from kseg.models import FCN, DeconvNet, MultiScale, PSPNet
from kseg.training import Recipe

from .datasets import fitted, people

SIZES = {"camvid": (144, 192), "people": (96, 96)}  # of training and of scoring; CamVid's images are 360 x 480
SCALE = (0.2, 0.6)  # half to one and a half times what whole images are shown at
ONE_SCALE = (0.4, 0.4)
INPUT_SCALES = (0.5, 0.75, 1.0)
# FCN's scores have no normalisation before them: ten times SGD's rate would be too much.
ADAMW = {"optimizer": "adamw", "learning_rate": 1e-3, "head_multiplier": 1.0, "weight_decay": 1e-2}
PEOPLE = 200  # images to train on: edge boxes are found in each


@dataclass(frozen=True)
class Network:
    """A network and its training.

    Args:
        key: names its runs.
        build: from the number of classes to the model, with ImageNet's weights.
        changes: of the recipe, beside what all networks on the same data share.
        data: "camvid" or "people".
        stages: changes of the recipe for trainings one after the other, which share the steps equally.
        times: it is trained so many times as long as others.
    """

    key: str
    build: Callable[[int], keras.Model]
    changes: dict[str, Any] = field(default_factory=dict)
    data: str = "camvid"
    stages: tuple[dict[str, Any], ...] = ({},)
    times: int = 1


@dataclass(frozen=True)
class Scored:
    """Trained networks of one seed, scored in another way.

    Args:
        key: names its lines.
        members: the keys of the networks.
        predictor: from their models, and a folder for what is slow to find, to what predicts.
        data: "camvid" or "people".
        whole: False scores on images of their own size instead of the size of training.
    """

    key: str
    members: tuple[str, ...]
    predictor: Callable[[Sequence[keras.Model], Path], Any]
    data: str = "camvid"
    whole: bool = True


def psp(classes: int) -> keras.Model:
    """PSPNet at output stride 16: a quarter of the cost of 8."""
    backbone = EfficientNetLite("lite0", output_stride=16, last_stage="stage4", padding="image")
    return PSPNet(backbone, classes, filters=64, align_corners=False)


def fcn8s(classes: int) -> keras.Model:
    return FCN(EfficientNetLite("lite0", padding="image"), classes, stride=8)


def deconv(classes: int) -> keras.Model:
    return DeconvNet(EfficientNetLite("lite0", padding="image"), classes, depths=(1, 1, 2, 2), kernel_std=None)


def boxes(models: Sequence[keras.Model], folder: Path) -> ProposalPredictor:
    propose = ProposalCache(folder / "proposals")
    return ProposalPredictor(models[0], size=SIZES["people"], best=10, propose=propose)


def fused(models: Sequence[keras.Model], folder: Path) -> MultiScale:
    return MultiScale(models[0], INPUT_SCALES)


def ensemble(mode: str) -> Callable[[Sequence[keras.Model], Path], Ensemble]:
    return lambda models, folder: Ensemble([Predictor(model) for model in models], mode)


TWO_STAGES = ({"crops": "objects"}, {"crops": "proposals"})
NETWORKS = (
    Network("whole-psp-base", psp),
    Network("whole-psp-auxiliary", psp, {"auxiliary_weight": 0.4}),
    Network("whole-psp-step", psp, {"schedule": "step"}),
    Network("whole-psp-one-scale", psp, {"scale": ONE_SCALE}),
    Network("whole-psp-one-rate", psp, {"head_multiplier": 1.0}),
    Network("whole-psp-batch-4", psp, {"batch_size": 4}),
    Network("whole-fcn8s", fcn8s, ADAMW),
    Network("whole-fcn8s-frozen", fcn8s, {**ADAMW, "freeze_backbone": True}),
    Network("whole-psp-inputs", psp, {"input_scales": INPUT_SCALES}),
    Network("whole-deconv-stages", deconv, data="people", stages=TWO_STAGES, times=2),
    Network("whole-deconv-images", deconv, data="people", times=2),
)
PAIR = ("whole-psp-base", "whole-fcn8s")
SCORED = (
    Scored("whole-mean", PAIR, ensemble("mean")),
    Scored("whole-product", PAIR, ensemble("product")),
    Scored("whole-psp-fused", ("whole-psp-inputs",), fused),
    Scored("whole-deconv-stages-boxes", ("whole-deconv-stages",), boxes, "people", whole=False),
    Scored("whole-deconv-images-boxes", ("whole-deconv-images",), boxes, "people", whole=False),
)
VARIANTS = (*NETWORKS, *SCORED)


def recipe_of(network: Network, stage: dict[str, Any], seed: int, steps: int) -> Recipe:
    """The recipe of a training: the papers' SGD on CamVid, AdamW for DeconvNet's decoder, which starts from nothing."""
    shared = {"schedule": "poly", "batch_size": 8, "epochs": 1, "mirror": True, "label_stride": 4}
    if network.data == "camvid":
        shared |= {"optimizer": "sgd", "learning_rate": 0.01, "head_multiplier": 10.0, "weight_decay": 1e-4}
        shared |= {"scale": SCALE}
    else:
        shared |= {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2, "warmup_steps": 10}
    settings = {**shared, "size": SIZES[network.data], "seed": seed, **network.changes, **stage}
    if settings["schedule"] == "step":  # a tenth from each third on, as in DeepLab's 2000 of 6000
        settings["step_every"] = max(steps // 3, 1)
    return Recipe(name=network.key, steps_per_epoch=steps, **settings)


def load(root: Path, data: str, small: bool = False) -> tuple[Dataset, Dataset]:
    """Training and validation data of the networks on CamVid, or on VOC's people."""
    if data == "camvid":
        train, val = (kseg.data.load("camvid", root / "camvid", split) for split in ("train", "val"))
    else:
        train, val = people(root, "train")[:PEOPLE], people(root, "val")
    return (train[:16], val[:8]) if small else (train, val)


def run(
    variant: Network | Scored,
    seed: int,
    folder: Path,
    data: tuple[Dataset, Dataset],
    *,
    steps: int,
    limit: int | None = None,
) -> dict[str, Any]:
    """Train a network by `kseg.training.fit` and score it, or score networks that are trained.

    Args:
        variant: what to run.
        seed: of everything; with one seed, all networks see the images in the same order.
        folder: where trained networks that others need are kept, as KEY-SEED.keras.
        data: training and validation data.
        steps: of a training.
        limit: score on so many validation images.

    Returns:
        The scores, and what they took.

    Raises:
        SettingsError: a network that is to be scored is not in `folder`.
    """
    wall, processor = time.perf_counter(), time.process_time()
    keras.backend.clear_session()
    folder.mkdir(parents=True, exist_ok=True)
    train, val = data
    found: dict[str, Any] = {}
    if isinstance(variant, Network):
        predictor, found = _trained(variant, seed, folder, train, steps)
    else:
        predictor = variant.predictor([_member(folder, key, seed) for key in variant.members], folder)
    whole = isinstance(variant, Network) or variant.whole
    report = kseg.evaluation.evaluate(
        predictor, fitted(val, SIZES[variant.data]) if whole else val, limit=limit
    )
    return {
        "mean_iou": round(float(report.mean_iou), 6),
        "pixel_accuracy": round(float(report.pixel_accuracy), 6),
        **found,
        "seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }


def _trained(
    network: Network, seed: int, folder: Path, train: Dataset, steps: int
) -> tuple[keras.Model, dict[str, Any]]:
    out, init_from = folder / "run", None
    for stage in network.stages:
        keras.utils.set_random_seed(seed)
        model = network.build(train.num_classes)
        recipe = recipe_of(network, stage, seed, max(network.times * steps // len(network.stages), 1))
        whole = network.data == "people" and recipe.crops is None
        images = fitted(train, SIZES[network.data]) if whole else train
        shutil.rmtree(out, ignore_errors=True)
        quiet = {"tensorboard": False, "verbose": False}
        history = kseg.training.fit(model, recipe, images, None, out, init_from=init_from, **quiet)
        init_from = (out / "last.keras").replace(folder / "before.keras")
    if any(network.key in scored.members for scored in SCORED):
        model.save(folder / f"{network.key}-{seed}.keras")
    weights = sum(w.shape.num_elements() for w in model.trainable_variables)
    return model, {"loss": round(float(history[-1]["loss"]), 6), "weights": int(weights)}


def _member(folder: Path, key: str, seed: int) -> keras.Model:
    path = folder / f"{key}-{seed}.keras"
    if not path.is_file():
        raise SettingsError(
            f"{path} is not there: give the --cache that {key} was trained in, or another --out to train it anew"
        )
    return kseg.models.load(path)
