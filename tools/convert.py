"""Convert a .keras file to TFLite, ONNX or a SavedModel: ``python tools/convert.py --help``.

The same as ``kseg export``, for a checkout that is not installed.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str]) -> int:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from kseg.cli.main import main as kseg

    return kseg(["export", *argv])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
