"""One side of a row of the speed table, in a process of its own: prepares itself, then measures when it is asked to.

    python tools/speed/worker.py SIDE [NUMBER ...]     SIDE: a function of sides.py, or MODULE.FUNCTION beside it

Reads lines from standard input: "run" makes it do its work once and print the seconds; "peak" prints the peak memory
of the process in MiB. A side that needs a package that is not there prints "absent REASON" and ends.
"""

import importlib
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))


def main(name: str, *numbers: str) -> int:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print does not come between the answers
    from measuring import peak_mebibytes

    module, _, function = name.rpartition(".")
    try:
        work = getattr(importlib.import_module(module or "sides"), function)(*map(int, numbers))
    except (ImportError, FileNotFoundError) as error:
        print(f"absent {error}".replace("\n", " "), file=answers)
        return 0
    work()  # traced, compiled, caches filled
    print("ready", file=answers)
    for line in sys.stdin:
        if line.strip() == "peak":
            print(peak_mebibytes(), file=answers)
            continue
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start, file=answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
