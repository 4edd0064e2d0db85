"""Where caches lie."""

from pathlib import Path

from kseg.io.cache import cache_folder


def test_the_environment_wins(monkeypatch):
    monkeypatch.setenv("KSEG_CACHE", "/somewhere")
    assert cache_folder("a", "b") == Path("/somewhere/a/b")
    monkeypatch.setenv("KSEG_CACHE", "")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/kseg")
