"""Every module has a collected test: ``kseg/data/folder.py`` needs ``tests/data/test_folder.py``.

Run from anywhere: ``python tools/check_tests.py [ROOT]``. Asks pytest which tests it collects (marked ones
too), so a test file that pytest never sees, or one without a test, is found. Exits with 1 if one is missing.
"""

import fnmatch
import subprocess
import sys
from collections import Counter
from pathlib import Path

WITHOUT_TEST = {"__init__", "__main__", "version"}
# Shared by the tests, no tests themselves.
NOT_TESTS = {"blocks.py", "conftest.py", "contracts.py", "runs.py", "torch_networks.py"}
PATTERN = "test_*.py"  # pytest's python_files


def modules(root: Path) -> list[Path]:
    """The modules of the package, and of tools, that need a test; paths below ``root``."""
    found = [p for p in sorted((root / "kseg").rglob("*.py")) if p.stem not in WITHOUT_TEST]
    found += sorted((root / "tools").glob("*.py"))
    return [p.relative_to(root) for p in found]


def expected_test(module: Path) -> Path:
    """Where a module's tests lie; those of ``tools/x.py`` in ``tests/tools/test_x.py``."""
    folder = module.parent.relative_to("kseg") if module.parts[0] == "kseg" else module.parent
    return Path("tests") / folder / f"test_{module.name}"


def collected(root: Path) -> tuple[Counter, str]:
    """How many tests pytest collects in each file (paths below ``root``), and what it says about errors."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-m",
        "",
        "-p",
        "no:cacheprovider",
        "tests",
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    counts = Counter(
        Path(line.split("::")[0]) for line in lines if "::" in line and not line.startswith("ERROR")
    )
    errors = "\n".join(line for line in lines if line.startswith("ERROR"))
    if done.returncode not in (0, 5) and not errors:
        errors = (done.stderr or done.stdout).strip()
    return counts, errors


def unmatched(root: Path) -> list[Path]:
    """Python files below tests that hold tests to a reader's eye but whose name pytest does not match."""
    files = sorted(p for p in (root / "tests").rglob("*.py") if p.name not in NOT_TESTS)
    return [p.relative_to(root) for p in files if not fnmatch.fnmatch(p.name, PATTERN)]


def check(root: Path) -> list[str]:
    """What is missing, one line each."""
    counts, errors = collected(root)
    found = [f"pytest cannot collect: {line}" for line in errors.splitlines()]
    for module in modules(root):
        test = expected_test(module)
        if not (root / test).is_file():
            found.append(f"{module}: no {test}")
        elif not counts[test]:
            found.append(f"{module}: pytest collects no test in {test}")
    found += [f"{path}: pytest never collects a file of this name" for path in unmatched(root)]
    return found


def main(argv: list[str]) -> int:
    root = Path(argv[0]) if argv else Path(__file__).resolve().parents[1]
    found = check(root.resolve())
    print("\n".join(found) if found else "tests: every module has a collected test")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
