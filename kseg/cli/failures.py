"""What ended a command, as one sentence and an exit code.

1 is an answer (a check that failed), 2 a mistake in what was given or something that a person can mend, 3 a fault of
kseg or of what it stands on; `KSEG_DEBUG=1` shows the traceback of any of them.
"""

import os
import traceback
from pathlib import Path

from kseg.errors import KsegError

# The system's words, as they come through TensorFlow and HDF5.
_SYSTEM = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Read-only file system",
    "Permission denied",
    "Operation not permitted",
    "No such file or directory",
    "Input/output error",
    "Too many open files",
    "Stale file handle",
)


def outcome(error: BaseException) -> tuple[str, int]:
    """The sentence for a person, and the exit code."""
    if os.environ.get("KSEG_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, KsegError):
        return one_sentence(error), 2
    if isinstance(error, KeyboardInterrupt):
        return "stopped; what was finished before stays where it is.", 130
    if isinstance(error, OSError) and error.errno is not None:
        where = f" ({error.filename})" if error.filename else ""
        return f"the system refused: {error.strerror}{where}.", 2
    if isinstance(error, MemoryError) or "OOM when allocating" in str(error):
        return "the memory is not enough: give a smaller --size, --window or --batch-size.", 2
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("kseg"):
        return f"the package {error.name} is needed for this and not installed: pip install {error.name}", 2
    said = one_sentence(error)
    # TensorFlow has its own kinds of errors, and HDF5's is an OSError without a number.
    if type(error).__module__.startswith("tensorflow") or isinstance(error, OSError | RuntimeError):
        for words in _SYSTEM:
            if words in said:
                return f"the system refused: {words} ({said[:200]}).", 2
    what = type(error).__name__ + (f": {said[:300]}" if said else "")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}kseg{os.sep}" in frame.filename] or frames
    place = f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else "unknown place"
    return f"unexpected failure, {what} ({place}); KSEG_DEBUG=1 shows where it comes from.", 3


def one_sentence(error: BaseException) -> str:
    """The message as one line, so that a script reading stderr gets one line for one mistake."""
    return " ".join(str(error).split())
