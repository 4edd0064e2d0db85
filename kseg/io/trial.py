"""Opens a model file and runs it once, in a process of its own: `python trial.py RUNTIME FILE < JSON`.

`untrusted.check_runs` starts it as a plain script, so that it imports nothing but the runtime. The JSON on stdin has
`path` (where modules are found), `memory` (bytes it may take) and `size` ([height, width] of free sides). It ends
with 0 where the file ran, with 1 where the runtime refused it; a crash ends it by a signal.
"""

import contextlib
import json
import sys
from collections.abc import Sequence


def main() -> int:
    settings = json.load(sys.stdin)
    sys.path[:] = settings["path"]
    with contextlib.suppress(ImportError):  # Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard, memory = resource.getrlimit(resource.RLIMIT_AS)[1], settings["memory"]
        if memory and (hard == resource.RLIM_INFINITY or memory < hard):
            resource.setrlimit(resource.RLIMIT_AS, (memory, hard))
    run = {"tflite": _run_tflite, "onnx": _run_onnx}[sys.argv[1]]
    try:
        run(sys.argv[2], settings["size"])
    except Exception as error:
        print(" ".join(str(error).split())[:300] or type(error).__name__)
        return 1
    return 0


def _run_tflite(path: str, size: list[int]) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    source = _source(path)
    interpreter = Interpreter(**{"model_path" if source is path else "model_content": source}, num_threads=2)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        signature = entry["shape_signature"]
        shape = _concrete(signature, size)
        if shape != list(entry["shape"]):
            interpreter.resize_tensor_input(entry["index"], shape)
    interpreter.allocate_tensors()
    for level in (0, 100):
        for entry in interpreter.get_input_details():
            interpreter.set_tensor(entry["index"], np.full(entry["shape"], level, entry["dtype"]))
        interpreter.invoke()
        for entry in interpreter.get_output_details():
            interpreter.get_tensor(entry["index"])


def _run_onnx(path: str, size: list[int]) -> None:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(_source(path), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16, "tensor(double)": np.float64}
    images = {
        entry.name: np.zeros(_concrete(entry.shape, size), kinds.get(entry.type, np.float32))
        for entry in session.get_inputs()
    }
    session.run(None, images)


def _source(path: str) -> str | bytes:
    """The path, or the file's content where its name is not UTF-8, which the runtimes do not take."""
    try:
        path.encode()
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            return file.read()
    return path


def _concrete(shape: Sequence[int | str | None], size: list[int]) -> list[int]:
    """A shape (batch, height, width, channels), or channels first, with its free sides filled in."""
    sides = [
        int(side) if not isinstance(side, str) and side is not None and side > 0 else 0 for side in shape
    ]
    if len(sides) != 4:
        return [side or 1 for side in sides]
    first = sides[1] in (1, 3) and sides[3] == 0
    free = [1, 3, *size] if first else [1, *size, 3]
    return [side or other for side, other in zip(sides, free, strict=True)]


if __name__ == "__main__":
    raise SystemExit(main())
