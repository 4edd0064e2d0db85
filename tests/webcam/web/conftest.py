"""A runtime of a few bytes in place of LiteRT.js, and a folder that a server takes for a site."""

import hashlib

import pytest

from kseg.export.page import litert_js


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A folder with files whose SHA-256 kseg is made to expect."""
    folder, files = tmp_path / "npm", {}
    folder.mkdir()
    for name, (package, place, _) in litert_js.FILES.items():
        (folder / name).write_bytes(name.encode())
        files[name] = (package, place, hashlib.sha256(name.encode()).hexdigest())
    monkeypatch.setattr(litert_js, "FILES", files)
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    (folder / "runtime").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>hello")
    (folder / "app.mjs").write_text("export {};")
    (folder / "runtime" / "a b.wasm").write_bytes(b"\0asm")
    return folder
