"""TF_CONFIG, and noticing that another worker has gone."""

import json
import socket
import threading

import pytest

from kseg.errors import KsegError, SettingsError
from kseg.training.distribution import cluster
from kseg.training.distribution.cluster import Cluster, Watch

A, B, C = "10.0.0.1:2222", "host-b:2222", "[::1]:2222"


def config(jobs, kind="worker", index=0):
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


def test_workers_and_a_chief_before_them():
    assert cluster.parse(config({"worker": [A, B]}, index=1)) == Cluster((A, B), 1)
    assert cluster.parse(config({"worker": [A, B]}, index=1)).others == {0: A}
    jobs = {"chief": [C], "worker": [A, B]}
    assert cluster.parse(config(jobs, "chief")) == Cluster((C, A, B), 0)
    assert cluster.parse(config(jobs, index=1)) == Cluster((C, A, B), 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100000, "not valid JSON"),
        ("[]", 'no object "cluster"'),
        ('{"cluster": {"worker": []}}', 'no object "task"'),
        (config({"worker": [A]}, index=1), "not one of the cluster's 0 chiefs and 1 workers"),
        (config({"worker": [A]}, index=-1), "not one of"),
        (config({"worker": [A]}, index=True), "not one of"),
        (config({"worker": [A]}, kind=["worker"]), "not one of"),
        (config({"worker": [A], "ps": [B]}), "workers .and a chief. only, got ps"),
        (config({"worker": A}), "list of host:port"),
        (config({"worker": ["nowhere"]}), "list of host:port"),
        (config({"worker": ["a:99999"]}), "list of host:port"),
        (config({"worker": [7]}), "list of host:port"),
        (config({"worker": [A, A]}), "stands twice"),
        (config({"chief": [A, B]}, "chief"), "more than one chief"),
    ],
)
def test_what_is_no_cluster(text, message):
    with pytest.raises(SettingsError, match=message):
        cluster.parse(text)


def test_the_environment_must_have_it(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(SettingsError, match="TF_CONFIG, such as"):
        cluster.from_environment()


def test_a_worker_that_no_longer_answers_is_told_apart():
    alive, dying = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in (alive, dying)]
    told, ended = [], threading.Event()

    def end(dead):
        told.extend(dead)
        ended.set()

    watch = Watch(Cluster(("127.0.0.1:1", *addresses), 0), interval=0.02, patience=3, end=end)
    with alive:
        assert watch.unreachable() == []
        watch.start()
        assert not ended.wait(0.2)
        dying.close()
        assert ended.wait(10)
    assert told == [2]
    text = cluster.message(watch.cluster, told)
    assert f"worker 2 ({addresses[1]}) stopped answering" in text
    assert "Start the same command" in text


def test_many_that_do_not_answer_are_found_at_once(monkeypatch):
    """Eight machines without power: one after the other, each round would take eight timeouts."""
    together = threading.Barrier(8)

    def knock(address, timeout):
        together.wait(10)  # BrokenBarrierError unless all eight knock at the same time
        return address.endswith("1")

    monkeypatch.setattr(cluster, "_answers", knock)
    watch = Watch(Cluster(("me:1", *(f"host{n}:{n}" for n in range(1, 9))), 0), interval=1)
    assert watch.unreachable() == [2, 3, 4, 5, 6, 7, 8]


def test_a_worker_says_for_whom_it_waits(monkeypatch, capsys):
    import tensorflow as tf

    def refuse():
        raise RuntimeError("address in use\nmore")

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", refuse)
    monkeypatch.setenv("TF_CONFIG", config({"worker": [A, B, C]}, index=1))
    with pytest.raises(KsegError, match=r"Worker 1 .* could not join .*: address in use$"):
        cluster.connect()
    assert capsys.readouterr().err == f"kseg: worker 1 ({B}) waits for {A}, {C}\n"


def test_a_stopped_watch_tells_nothing():
    told = []
    watch = Watch(Cluster(("127.0.0.1:1", "127.0.0.1:1"), 0), interval=0.01, patience=1, end=told.append)
    watch.stop()
    watch.start()
    watch.join(10)
    assert told == []
