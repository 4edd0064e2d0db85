"""Where a .tflite file's milliseconds go: each of its operations in LiteRT, alone, on one thread.

    python tools/speed/operations.py FILE...                        a table per file, and a total per kind
    python tools/speed/operations.py a.tflite --rounds 100 --top 20

Each operation is cut out of the graph into a file of its own, with its weights and its quantisation; these files take
turns. "outside" are operations that the XNNPACK delegate leaves to LiteRT's own kernels. The first line compares their
sum with the whole file; the difference is what an invocation costs and what is done once for several operations.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from measuring import in_turns

REPEATS = 10  # invocations in one measurement: a call from Python costs some microseconds


@dataclass(frozen=True)
class Operation:
    """An operation of a file, and the same operation as a file of its own."""

    number: int
    kind: str
    reads: str
    writes: str
    alone: bytes


def operations(data: bytes) -> list[Operation]:
    """The operations of a .tflite file's main graph, in their order.

    Args:
        data: the content of the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    types = {v: k.lower() for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    model.metadata = model.metadataBuffer = model.signatureDefs = None
    model.subgraphs = model.subgraphs[:1]
    graph, buffers = model.subgraphs[0], model.buffers
    steps, dequantised = graph.operators, _unpacked_weights(model, kinds)

    def told(index: int) -> str:
        tensor = graph.tensors[index]
        sides = "x".join(map(str, tensor.shape)) if tensor.shape is not None else ""
        return f"{types[tensor.type]} {sides}".strip()

    found = []
    for number, step in enumerate(steps):
        if number in dequantised.values():
            continue  # float16 weights: unpacked once, when the file is opened
        code = model.operatorCodes[step.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        before = [dequantised[int(i)] for i in step.inputs if int(i) in dequantised]
        maps = [
            int(i)
            for i in step.inputs
            if i >= 0 and i not in dequantised and not _constant(graph, buffers, i)
        ]
        graph.operators = [steps[i] for i in before] + [step]
        graph.inputs, graph.outputs = list(dict.fromkeys(maps)), step.outputs
        name = code.customCode.decode() if code.customCode else kind
        reads, writes = ", ".join(map(told, maps)), ", ".join(map(told, step.outputs))
        found.append(Operation(number, name, reads, writes, _packed(schema, model)))
    return found


def _constant(graph, buffers, index: int) -> bool:
    data = buffers[graph.tensors[index].buffer].data
    return data is not None and len(data) > 0


def _unpacked_weights(model, kinds: dict[int, str]) -> dict[int, int]:
    """Tensors that a DEQUANTIZE makes of constants, with the number of that operation."""
    graph, found = model.subgraphs[0], {}
    for number, step in enumerate(graph.operators):
        kind = kinds[model.operatorCodes[step.opcodeIndex].builtinCode]
        if kind == "DEQUANTIZE" and _constant(graph, model.buffers, step.inputs[0]):
            found[int(step.outputs[0])] = number
    return found


def _packed(schema, model) -> bytes:
    """The model as a file, with the weights of the operations that are left and no others."""
    import flatbuffers

    graph, buffers = model.subgraphs[0], model.buffers
    used = {int(i) for step in graph.operators for i in [*step.inputs, *step.outputs] if i >= 0}
    kept = {graph.tensors[i].buffer for i in used}
    empty = schema.BufferT()
    model.buffers = [one if number in kept else empty for number, one in enumerate(buffers)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    model.buffers = buffers
    return bytes(builder.Output())


class Invocation:
    """A file in LiteRT on one thread, its inputs filled with random values."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        rng = np.random.default_rng(0)
        for entry in self._interpreter.get_input_details():
            integers = np.dtype(entry["dtype"]).kind in "iu"
            limits = np.iinfo(entry["dtype"]) if integers else None
            low, high = (limits.min, limits.max) if integers else (0, 255)
            values = rng.uniform(low, high, entry["shape"]).astype(entry["dtype"])
            self._interpreter.set_tensor(entry["index"], values)

    def __call__(self) -> None:
        for _ in range(REPEATS):
            self._interpreter.invoke()

    @property
    def delegated(self) -> bool:
        """Whether the delegate took what the file holds."""
        return any(one["op_name"] == "DELEGATE" for one in self._interpreter._get_ops_details())


def profile(path: Path, rounds: int = 20, top: int | None = None) -> dict[int, float]:
    """Print a file's operations by their milliseconds, and give the milliseconds by the operation's number."""
    found = operations(path.read_bytes())
    runs = {one.number: Invocation(one.alone) for one in found}
    whole = Invocation(path.read_bytes())
    times = {n: 1e3 * t[1] / REPEATS for n, t in in_turns({**runs, -1: whole}, rounds, warm=1).items()}
    total, together = times.pop(-1), sum(times.values())
    print(f"{path.name}: {total:.2f} ms of one thread; its {len(found)} operations alone {together:.2f}")
    kinds, counts = Counter(), Counter()
    for number, one in enumerate(sorted(found, key=lambda one: -times[one.number])):
        taken, place = times[one.number], "" if runs[one.number].delegated else " outside"
        kinds[one.kind + place] += taken
        counts[one.kind + place] += 1
        if top is None or number < top:
            told = f"{taken:8.3f} {taken / together:6.1%} {one.number:4d} {one.kind + place:<26}"
            print(f"{told} {one.reads} -> {one.writes}")
    for kind, taken in kinds.most_common():
        print(f"{taken:8.3f} {taken / together:6.1%} {counts[kind]:4d} x {kind}")
    return times


def presets() -> None:
    """Profile the int8 files that come with kseg."""
    import kseg

    for path in sorted((Path(kseg.__file__).parent / "models" / "presets").glob("*_int8.tflite")):
        profile(path, top=20)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=20, help="measurements of each operation (20)")
    parser.add_argument("--top", type=int, help="print the slowest so many only")
    args = parser.parse_args(argv)
    for path in args.files:
        profile(path, args.rounds, args.top)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
