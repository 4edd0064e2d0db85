"""Several workers: reading TF_CONFIG, starting TensorFlow's engine for them, and noticing one that has died."""

import atexit
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kseg.errors import KsegError, SettingsError

_EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """Who takes part in a training on several machines.

    Args:
        workers: `host:port` of every worker, the chief (who writes the run folder) first.
        index: which of them this process is.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def others(self) -> dict[int, str]:
        return {number: worker for number, worker in enumerate(self.workers) if number != self.index}


def from_environment() -> Cluster:
    """The cluster that the environment variable TF_CONFIG describes; SettingsError if it is missing or wrong."""
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        raise SettingsError(
            f"The strategy multiworker needs the environment variable TF_CONFIG, such as {_EXAMPLE}."
        )
    return parse(text)


def parse(text: str) -> Cluster:
    """The cluster of a TF_CONFIG text, with the optional job "chief" before the job "worker".

    Raises:
        SettingsError: not JSON, no workers, an address that is not a `host:port`, or a task that is not in the list.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"TF_CONFIG is not valid JSON ({error}); expected such as {_EXAMPLE}.") from None
    jobs, task = _part(config, "cluster"), _part(config, "task")
    unknown = sorted(str(job) for job in jobs if job not in ("chief", "worker"))
    if unknown:
        raise SettingsError(
            f"TF_CONFIG: kseg trains with workers (and a chief) only, got {', '.join(unknown)}."
        )
    chief, workers = (_addresses(jobs, job) for job in ("chief", "worker"))
    kind, index = task.get("type"), task.get("index")
    own = {"chief": chief, "worker": workers}.get(kind) if isinstance(kind, str) else None
    if own is None or not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(own):
        raise SettingsError(
            f"TF_CONFIG: the task {json.dumps(task)} is not one of the cluster's {len(chief)} chiefs and "
            f"{len(workers)} workers."
        )
    everyone = (*chief, *workers)
    if len(set(everyone)) != len(everyone) or len(chief) > 1:
        raise SettingsError("TF_CONFIG: an address stands twice, or there is more than one chief.")
    return Cluster(everyone, index + (len(chief) if kind == "worker" else 0))


def _part(config: Any, name: str) -> dict[str, Any]:
    part = config.get(name) if isinstance(config, dict) else None
    if not isinstance(part, dict):
        raise SettingsError(f'TF_CONFIG has no object "{name}"; expected such as {_EXAMPLE}.')
    return part


def _addresses(jobs: dict[str, Any], job: str) -> tuple[str, ...]:
    found = jobs.get(job, [])
    if not isinstance(found, list):
        raise SettingsError(f'TF_CONFIG: "{job}" is a list of host:port, got {json.dumps(found)[:80]}.')
    for address in found:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) < 65536:
            raise SettingsError(f'TF_CONFIG: "{job}" is a list of host:port, got {json.dumps(address)[:80]}.')
    return tuple(found)


def connect() -> Any:
    """TensorFlow's `MultiWorkerMirroredStrategy` of the cluster in TF_CONFIG, once all its workers are there."""
    import tensorflow as tf

    here = from_environment()
    if here.others:  # for as long as an hour, where one has a wrong address
        print(
            f"kseg: worker {here.index} ({here.workers[here.index]}) waits for {', '.join(here.others.values())}",
            file=sys.stderr,
        )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise KsegError(
            f"Worker {here.index} ({here.workers[here.index]}) could not join {', '.join(here.others.values())}: "
            f"{first}"
        ) from error


@contextmanager
def watched(cluster: Cluster, interval: float = 5.0, patience: int = 3) -> Iterator[None]:
    """While it lasts, end this process with a message when another worker has died.

    TensorFlow's collective operations may wait for a dead worker for ever. So a thread knocks at the other
    workers' ports every `interval` seconds, and after `patience` refusals in a row ends the process (exit code
    2): nothing less gets out of an operation that waits. An error that TensorFlow does raise becomes a KsegError.
    """
    import tensorflow as tf

    watch = Watch(cluster, interval, patience)
    watch.start()
    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)
    try:
        yield
    except (*lost, tf.errors.InternalError, tf.errors.CancelledError) as error:
        gone = watch.unreachable()
        if not gone and not isinstance(error, lost):
            raise
        # TensorFlow's own end would wait minutes for the dead worker to say goodbye.
        atexit.register(_end, 2)
        raise KsegError(message(cluster, gone or list(cluster.others))) from error
    finally:
        watch.stop()


def message(cluster: Cluster, gone: list[int]) -> str:
    """What a worker says when others are gone."""
    names = ", ".join(f"worker {number} ({cluster.workers[number]})" for number in gone)
    return (
        f"{names} stopped answering, so this one (worker {cluster.index}) stops too. Start the same command "
        "on all workers again: the run goes on after its last checkpoint."
    )


class Watch(threading.Thread):
    """Knocks at the other workers' ports, and ends the process (or calls `end`) with those that no longer answer."""

    def __init__(
        self,
        cluster: Cluster,
        interval: float = 5.0,
        patience: int = 3,
        end: Callable[[list[int]], None] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.cluster, self.interval, self.patience = cluster, interval, patience
        self.end = end
        self._stopped = threading.Event()

    def run(self) -> None:
        missed = dict.fromkeys(self.cluster.others, 0)
        while not self._stopped.wait(self.interval):
            gone = self.unreachable()
            missed = {number: missed[number] + 1 if number in gone else 0 for number in missed}
            dead = [number for number, count in missed.items() if count >= self.patience]
            if dead and not self._stopped.is_set():
                if self.end is None:
                    print(f"kseg: {message(self.cluster, dead)}", file=sys.stderr)
                    _end(2)
                else:
                    self.end(dead)
                return

    def stop(self) -> None:
        self._stopped.set()

    def unreachable(self) -> list[int]:
        others = self.cluster.others
        # At once: a machine without power answers nothing for long.
        with ThreadPoolExecutor(max(len(others), 1)) as pool:
            answers = pool.map(lambda address: _answers(address, self.interval), others.values())
            return [number for number, answer in zip(others, answers, strict=True) if not answer]


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _answers(address: str, timeout: float) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout):
        return True
    return False
