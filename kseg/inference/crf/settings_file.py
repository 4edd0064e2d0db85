"""A dense CRF's settings as a JSON file, as `kseg tune-crf` writes it and `--crf` takes it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import KsegError, SettingsError
from kseg.inference.crf.dense_crf import DenseCRF
from kseg.io.atomic import write_text

_OF_THE_MACHINE = {"memory_limit", "device"}
_FIELDS = tuple(field.name for field in dataclasses.fields(DenseCRF) if field.name not in _OF_THE_MACHINE)


def crf_to_dict(crf: DenseCRF) -> dict[str, Any]:
    """The settings as JSON has them, all but the machine's own: `memory_limit`, `device`."""
    values = {name: getattr(crf, name) for name in _FIELDS}
    return {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in values.items()
    }


def save_crf(crf: DenseCRF, path: str | Path, **notes: Any) -> None:
    """Write the settings to a JSON file under "crf", and what else is to be noted beside them."""
    text = json.dumps({"crf": crf_to_dict(crf), **notes}, indent=2) + "\n"
    write_text(path, text)


def load_crf(path: str | Path) -> DenseCRF:
    """The CRF of such a file, or of one written by hand: a JSON object of some of `DenseCRF`'s arguments.

    Raises:
        SettingsError: no such file, not such an object, or a setting that is unknown or out of range.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: the CRF's settings cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not a JSON file of a CRF's settings ({error})") from None
    values = values.get("crf", values) if isinstance(values, dict) else values
    if not isinstance(values, dict) or set(values) - set(_FIELDS):
        strange = sorted(set(values) - set(_FIELDS)) if isinstance(values, dict) else [type(values).__name__]
        raise SettingsError(
            f"{path}: a CRF's settings are a JSON object with {', '.join(_FIELDS)}; got {', '.join(strange)}"
        )
    try:
        return DenseCRF(**values)
    except KsegError as error:
        raise SettingsError(f"{path}: {error}") from None
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{path}: a setting of the wrong type ({error})") from None
