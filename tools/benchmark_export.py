"""Speed of exported files and of serving: two measurements of tools/benchmark.py.

python tools/benchmark.py export       LiteRT in float32, float16 and int8 and onnxruntime against Keras's graph, for
                                       each fast network of the catalog
python tools/benchmark.py serving      8 clients with 250 requests each against the loopback server over gRPC

    python tools/benchmark_export.py fcn8s_efficientnetlite0 --files made --size 224 224

measures some networks only and keeps their files, so that a second call measures and does nothing else.
"""

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measuring import in_turns

MODEL = "fcn8s_efficientnetlite0"
SIZE = (224, 224)
HERE = Path(__file__).resolve().parent
KINDS = {"float32": "float32.tflite", "float16": "float16.tflite", "int8": "int8.tflite", "onnx": "onnx"}
COLUMNS = "  {:<38} {:>9} {:>8} {:>8} {:>8} {:>8} {:>13}"


def export_speed(
    models: Sequence[str] | None = None, rounds: int = 20, size=SIZE, folder: Path | None = None
) -> None:
    """One image through each exported file and through the compiled Keras graph, by wall and processor time."""
    print(f"one image of {size[0]}x{size[1]}, {os.cpu_count()} threads, {int8_operations()}")
    print("  how many times as fast as the Keras graph (its milliseconds first); int8 against float32 last")
    print(COLUMNS.format("", "Keras ms", *KINDS, "int8/float32"))
    ratios = []
    with contextlib.ExitStack() as stack:
        folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for model in models or fast_models():
            times = in_turns(runs_of(model, size, folder), rounds, warm=2)
            for place, what in enumerate(("", " (processor)")):
                taken = {kind: found[place] for kind, found in times.items()}
                ratios.append(taken["float32"] / taken["int8"])
                shown = [f"{taken['Keras'] / taken[kind]:.2f}" if kind in taken else "-" for kind in KINDS]
                print(
                    COLUMNS.format(model + what, f"{1e3 * taken['Keras']:.1f}", *shown, f"{ratios[-1]:.2f}"),
                    flush=True,
                )
    print(f"  int8 is {min(ratios):.2f} to {max(ratios):.2f} times as fast as float32 (1.5 is wanted)")


def fast_models() -> list[str]:
    """The networks of the catalog that are made for phones and laptops."""
    import kseg

    return [name for name in kseg.models.names() if "efficientnetlite" in name]


def int8_operations() -> str:
    """Whether this processor multiplies bytes faster than floats; without, int8 saves memory and little time."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.is_file() else set()
    found = sorted(flags & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
    return f"{platform.machine()} with {', '.join(found) if found else 'no instruction for int8 products'}"


def runs_of(model: str, size, folder: Path) -> dict[str, Callable[[], object]]:
    """A call of the Keras graph and of each file on the same image; files that are in the folder are taken."""
    import tensorflow as tf

    import kseg

    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.float32)
    network = kseg.models.build(model, 11)
    graph, fixed = tf.function(lambda x: network(x, training=False), autograph=False), tf.constant(image)
    runs = {"Keras": lambda: graph(fixed).numpy()}
    for kind, path in exported(network, size, folder, f"{model}_{size[0]}x{size[1]}"):
        runs[kind] = partial(kseg.export.load(path), image)
    return runs


def exported(network, size, folder: Path, stem: str) -> Iterator[tuple[str, Path]]:
    """(kind, file) of each kind; onnxruntime may be missing."""
    import kseg

    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(4)]
    settings = {"size": size, "min_agreement": 0.0}  # an untrained network's scores lie close together
    for kind, ending in KINDS.items():
        path = folder / f"{stem}.{ending}"
        try:
            if not path.exists() and kind == "onnx":
                kseg.export.onnx(network, path, **settings)
            elif not path.exists():
                kseg.export.tflite(network, path, precision=kind, calibration=images, **settings)
        except kseg.errors.SettingsError as error:
            print(f"  {error}")
            continue
        yield kind, path


def serving_load(clients: int = 8, requests: int = 250, model: str = MODEL, size=(96, 128)) -> None:
    """Parallel clients against the loopback server: right answers, answers a second, growth of its memory."""
    import cv2

    import kseg

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(4)]
    files = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    network = kseg.models.build(model, 11)
    for variable in network.trainable_variables:  # an untrained head scores zero everywhere
        if not np.asarray(variable).any():
            variable.assign(rng.normal(0, 0.05, variable.shape))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "network"
        kseg.export.saved_model(network, base, size=size)
        masks = np.asarray(network(np.stack(images).astype(np.float32))).argmax(-1)
        found = under_load(base, files, masks, clients, requests)
    print(
        f"{clients} clients with {requests} requests each over gRPC on loopback, {model} at {size[0]}x{size[1]}"
    )
    print(
        f"  {found['answered']} of {found['requests']} answered, {found['wrong']} unlike the Keras model's mask"
    )
    print(
        f"  {found['per_second']:.1f} a second, one takes {found['median_ms']:.0f} ms, p95 {found['p95_ms']:.0f}"
    )
    before, after = found["memory"]
    print(
        f"  memory of the server, first and last fifth: {before:.0f} -> {after:.0f} MiB, {after / before - 1:+.2%} "
        "(under 5 % is wanted)"
    )


def under_load(base: Path, files: list[bytes], masks: np.ndarray, clients: int, requests: int) -> dict:
    """`throughput` of the client against a server in a process of its own, its memory in the first and last fifth."""
    sys.path.insert(0, str(HERE.parent / "apps"))
    from serving_client import throughput
    from serving_transport import GrpcClient

    command, wrong = [sys.executable, str(HERE / "loopback_serving.py"), str(base), "--grpc", "0"], []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = (server.stdout.readline().split() or [""])[-1]
            if not address:
                raise SystemExit("the loopback server did not start")

            def client() -> GrpcClient:
                return Comparing(GrpcClient(address, base.name, timeout=120), files, masks, wrong)

            throughput(client, files, clients, max(requests // 10, 1), 2)  # threads and buffers are there
            wrong.clear()
            with memory_of(server.pid) as samples:
                found = throughput(client, files, clients, requests, 2)
            fifth = max(len(samples) // 5, 1)
            memory = statistics.median(samples[:fifth]), statistics.median(samples[-fifth:])
            return {**found, "wrong": len(wrong), "memory": memory}
        finally:
            server.terminate()


class Comparing:
    """A client that adds to ``wrong`` the images whose answer is not the mask that they have."""

    def __init__(self, client, files: list[bytes], masks: np.ndarray, wrong: list[bytes]):
        self.client, self.wrong = client, wrong
        self.expected = dict(zip(files, masks, strict=True))

    def mask(self, data: bytes) -> np.ndarray:
        found = self.client.mask(data)
        if not np.array_equal(found, self.expected[data]):
            self.wrong.append(data)
        return found

    def close(self) -> None:
        self.client.close()


@contextlib.contextmanager
def memory_of(process: int, pause: float = 0.05) -> Iterator[list[float]]:
    """A list that grows by the memory of a running process as long as the context lasts."""
    samples, done = [allocated_mebibytes(process)], threading.Event()

    def watch() -> None:
        while not done.wait(pause):
            samples.append(allocated_mebibytes(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        done.set()
        watcher.join()


def allocated_mebibytes(process: int) -> float:
    """Memory that a running process has taken for itself (Linux); its files in RAM come and go with other programs."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 2**10


def main(argv: list[str]) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="names of the catalog; default: the fast ones"
    )
    parser.add_argument(
        "--files", type=Path, metavar="DIR", help="keep the exported files there, or take them"
    )
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("H", "W"))
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="default: 20")
    args = parser.parse_args(argv)
    if args.files is not None:
        args.files.mkdir(parents=True, exist_ok=True)
    export_speed(args.models, args.rounds, tuple(args.size), args.files)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
