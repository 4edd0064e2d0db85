"""Shared fixtures: the real pictures' folder, and a seed for every test."""

import os
from pathlib import Path

import keras
import pytest


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures (``KSEG_DATA``, or ``../shared/data`` beside the checkout)."""
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("KSEG_DATA", default))
    if not (root / "camvid").is_dir():
        pytest.skip(
            f"no real pictures at {root}: set KSEG_DATA to a folder that holds camvid/ and voc_people/"
        )
    return root
