"""Hold the floors of the house: who may import whom, where TensorFlow is named, how large files and folders may be.

Run from anywhere: ``python tools/check_floors.py [ROOT]``. Prints each violation as ``file:line: what`` and
exits with 1 when there is one. Imports are read with ``ast``, also those inside functions.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MAX_LINES = 300
MAX_FILES = 15  # modules in a folder, __init__.py not counted
MAX_DEPTH = 2  # folders below kseg

# Folder of kseg -> the folders of kseg it may import besides itself. OPEN is open to everyone.
FLOORS = {
    "io": set(),
    "ops": set(),
    "layers": {"ops"},
    "losses": {"ops"},
    "metrics": {"ops"},
    "optimizers": {"ops"},
    "visualize": {"metrics"},
    "backbones": {"ops", "layers"},
    "models": {"ops", "layers", "losses", "metrics", "optimizers", "backbones"},
    "weights": {"ops", "layers", "backbones", "models"},
    "data": {"ops"},
    "inference": {"ops", "layers", "data", "metrics", "visualize"},
    "evaluation": {"inference", "metrics", "data", "ops", "visualize"},
    "export": {"ops", "data", "inference", "metrics"},
    "training": {
        "models",
        "layers",
        "losses",
        "metrics",
        "optimizers",
        "data",
        "evaluation",
        "inference",
        "prediction",
        "ops",
    },
    "webcam": {"ops", "models", "data", "inference", "export", "visualize"},
    "cli": {
        "prediction",
        "ops",
        "models",
        "losses",
        "metrics",
        "visualize",
        "data",
        "training",
        "inference",
        "evaluation",
        "export",
        "weights",
        "webcam",
    },
}
OPEN = {"checks", "errors", "io", "parts", "progress", "version"}
# The top of the package: what each of its modules may import.
TOP = {
    "__init__": {"errors", "prediction", "version"},
    "__main__": {"cli"},
    "checks": {"errors"},
    "errors": set(),
    "parts": set(),
    "progress": set(),
    "prediction": {"models", "inference", "export", "visualize"},
    "version": set(),
}
# Folders whose code may name TensorFlow; every other folder speaks keras.ops and NumPy.
TENSORFLOW = {"ops", "data", "training", "inference", "export"}
TENSORFLOW_PACKAGES = {"tensorflow", "tensorflow_datasets", "tf2onnx", "tensorboard"}
# Programs on top of the package: nothing of the package imports them.
PROGRAMS = {"apps", "tools", "tests"}


def imported_names(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Every imported dotted name with its line: ``from a import b`` gives ``a.b``, relative ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _is_import_call(node):
            yield node.lineno, node.args[0].value


def _is_import_call(node: ast.Call) -> bool:
    """Whether this is ``importlib.import_module("...")`` or ``__import__("...")`` with a plain string."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    constant = (
        bool(node.args) and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    )
    return constant and name in {"import_module", "__import__"}


def _kseg_violation(folder: str, target: str) -> str | None:
    """What is wrong with a module of kseg's ``folder`` ("" for the top) importing ``kseg.target``."""
    if folder == "io" and target != "io" and target not in {"checks", "errors", "version"}:
        return f"io may not import kseg.{target}"
    if target in OPEN or target == folder or target in FLOORS.get(folder, set()):
        return None
    if target not in FLOORS:  # a name of kseg/__init__.py, which imports every part
        return f"{folder} imports the package kseg itself; name the module it needs"
    return f"{folder} may not import kseg.{target}"


def _violation(folder: str, module: str, name: str) -> str | None:
    parts = name.split(".")
    if parts[0] in PROGRAMS:
        return f"the package may not import {parts[0]}"
    if parts[0] == "kseg":
        target = parts[1] if len(parts) > 1 else ""
        if folder == "":
            allowed = target in TOP.get(module, set()) | OPEN
            return None if allowed else f"kseg/{module}.py may not import kseg.{target}"
        return _kseg_violation(folder, target)
    if parts[0] in TENSORFLOW_PACKAGES and folder not in TENSORFLOW:
        return f"{folder or 'kseg'} may not name {parts[0]}"
    return None


def check_file(path: Path, root: Path) -> list[str]:
    """The violations of one file of the package that lies below ``root/kseg``."""
    relative = path.relative_to(root)
    folder = relative.parts[1] if len(relative.parts) > 2 else ""
    text = path.read_text(encoding="utf-8")
    found = []
    if (lines := len(text.splitlines())) > MAX_LINES:
        found.append(f"{relative}:{lines}: {lines} lines, at most {MAX_LINES}")
    if folder and folder not in FLOORS:
        found.append(f"{relative}:1: the folder {folder} has no floor in tools/check_floors.py")
        return found
    for line, name in imported_names(ast.parse(text, str(path)), relative.parts[:-1]):
        if (what := _violation(folder, path.stem, name)) is not None:
            found.append(f"{relative}:{line}: {what}")
    return found


def check(root: Path) -> list[str]:
    """Every violation below ``root/kseg``, and programs of ``apps`` and ``tools`` that are too long."""
    files = sorted((root / "kseg").rglob("*.py"))
    if not files:
        return [f"no Python files below {root / 'kseg'}"]
    found = [line for path in files for line in check_file(path, root)]
    for folder, count in sorted(Counter(path.parent for path in files if path.stem != "__init__").items()):
        place = folder.relative_to(root)
        if count > MAX_FILES:
            found.append(f"{place}/: {count} modules, at most {MAX_FILES}")
        if len(place.parts) > 1 + MAX_DEPTH:
            found.append(f"{place}/: {len(place.parts) - 1} folders deep, at most {MAX_DEPTH}")
    for program in sorted(p for folder in ("apps", "tools") for p in (root / folder).glob("*.py")):
        if (lines := len(program.read_text(encoding="utf-8").splitlines())) > MAX_LINES:
            found.append(f"{program.relative_to(root)}:{lines}: {lines} lines, at most {MAX_LINES}")
    return found


def main(argv: list[str]) -> int:
    root = Path(argv[0]) if argv else Path(__file__).resolve().parents[1]
    found = check(root)
    print("\n".join(found) if found else "floors: all imports go down, no file or folder is too large")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
