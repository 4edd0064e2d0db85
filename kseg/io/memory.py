"""How much memory is free."""

from pathlib import Path

GIB = 2**30


def free_memory() -> float:
    """Bytes that this machine has free; 8 GiB where it does not say."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    return 8.0 * GIB
