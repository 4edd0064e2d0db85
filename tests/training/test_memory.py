import subprocess
import sys

import pytest

from kseg.training import memory

# Frees and asks for 64 MiB a hundred times and counts the pages that the kernel had to hand out.
CODE = """
import resource, runpy, sys
import numpy as np
if sys.argv[2] == "keep":
    assert runpy.run_path(sys.argv[1])["keep_freed_memory"]()
np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_blocks_are_not_mapped_again():
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", CODE, memory.__file__, mode],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for mode in ("keep", "default")
    ]
    assert faults[0] < 0.1 * faults[1]
