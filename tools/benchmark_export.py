"""Speed of exported files and of serving: two measurements of tools/benchmark.py.

python tools/benchmark.py export       LiteRT in float32, float16 and int8 and onnxruntime against Keras's graph
python tools/benchmark.py serving      8 clients with 250 requests each against the loopback server over gRPC
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

MODEL = "fcn8s_efficientnetlite0"
SIZE = (224, 224)
HERE = Path(__file__).resolve().parent


def in_turns(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of each function; they take turns, so that a busy moment hits all."""
    times = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            if number:  # the first round is not counted
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {name: tuple(map(statistics.median, zip(*pairs, strict=True))) for name, pairs in times.items()}


def export_speed(rounds: int = 20, model: str = MODEL) -> None:
    """One picture through each exported file and through the compiled Keras graph."""
    import tensorflow as tf

    import kseg

    net = kseg.models.build(model, 11)
    graph = tf.function(lambda image: net(image, training=False), autograph=False)
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3)).astype(np.float32)
    fixed = tf.constant(image)
    runs = {"Keras graph": lambda: graph(fixed).numpy()}
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in _exported(net, Path(folder)):
            runs[kind] = partial(kseg.export.load(path), image)
    times = in_turns(runs, rounds)
    print(f"one picture of {SIZE[0]}x{SIZE[1]}, {model}, {os.cpu_count()} threads; ratios to the Keras graph")
    graph_wall, graph_processor = times["Keras graph"]
    for kind, (wall, processor) in times.items():
        ratios = f"{graph_wall / wall:5.2f}, by processor time {graph_processor / processor:5.2f}"
        print(f"  {kind:<15} {1e3 * wall:7.1f} ms (processor {1e3 * processor:7.1f}), ratio {ratios}")
    ratios = [times["LiteRT float32"][i] / times["LiteRT int8"][i] for i in (0, 1)]
    print(
        f"  int8 is {ratios[0]:.2f} times as fast as float32, {ratios[1]:.2f} by processor time (1.5 is wanted)"
    )


def _exported(net, folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, file) of each format."""
    import kseg

    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8) for _ in range(4)]
    for precision in ("float32", "float16", "int8"):
        path = folder / f"{precision}.tflite"
        kseg.export.tflite(net, path, size=SIZE, precision=precision, calibration=pictures)
        yield f"LiteRT {precision}", path
    try:
        kseg.export.onnx(net, folder / "n.onnx", size=SIZE)
    except kseg.errors.SettingsError as error:  # onnxruntime is not installed
        print(f"  {error}")
        return
    yield "onnxruntime", folder / "n.onnx"


def serving_load(clients: int = 8, requests: int = 250, model: str = MODEL, size=(96, 128)) -> None:
    """Parallel clients against the loopback server: right answers, answers a second, growth of its memory."""
    import cv2

    import kseg

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(4)]
    files = [cv2.imencode(".png", picture[..., ::-1])[1].tobytes() for picture in pictures]
    net = kseg.models.build(model, 11)
    for variable in net.trainable_variables:  # an untrained head scores zero everywhere
        if not np.asarray(variable).any():
            variable.assign(rng.normal(0, 0.05, variable.shape))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "net"
        kseg.export.saved_model(net, base, size=size)
        masks = np.asarray(net(np.stack(pictures).astype(np.float32))).argmax(-1)
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
        f"  memory of the server {before:.0f} -> {after:.0f} MiB, {after / before - 1:+.2%} (under 5 % is wanted)"
    )


def under_load(base: Path, files: list[bytes], masks: np.ndarray, clients: int, requests: int) -> dict:
    """`throughput` of the client against a server in a process of its own, its memory before and after."""
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
            before = resident_mebibytes(server.pid)
            wrong.clear()
            found = throughput(client, files, clients, requests, 2)
            return {**found, "wrong": len(wrong), "memory": (before, resident_mebibytes(server.pid))}
        finally:
            server.terminate()


class Comparing:
    """A client that adds to ``wrong`` the pictures whose answer is not the mask that they have."""

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


def resident_mebibytes(process: int) -> float:
    """Memory of a running process that is in RAM (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 2**10
