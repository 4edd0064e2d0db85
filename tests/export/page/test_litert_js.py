import io
import shutil
import tarfile

import pytest

from kseg.errors import SettingsError
from kseg.export.page import litert_js


def packed(folder, runtime, version=litert_js.VERSION):
    """The packages as ``npm pack`` leaves them."""
    folder.mkdir(exist_ok=True)
    for package in ("core", "wasm-utils"):
        with tarfile.open(folder / f"litertjs-{package}-{version}.tgz", "w:gz") as archive:
            archive.add(runtime / "node_modules" / "@litertjs" / package, "package")
    return folder


def test_one_import_is_changed_and_nothing_else(tmp_path, runtime):
    litert_js.install(litert_js.read(runtime), tmp_path / "out")
    published = runtime / "node_modules" / "@litertjs" / "core" / "dist" / "index.js"
    text = (tmp_path / "out" / "index.mjs").read_text()
    assert text == published.read_text().replace("@litertjs/wasm-utils", "./wasm-utils.mjs")
    glue = (tmp_path / "out" / "litert_wasm_internal.js").read_bytes()
    assert (
        glue == (published.parents[1] / "wasm" / "litert_wasm_internal.js").read_bytes()
    )  # its import stays
    assert "Apache License" in (tmp_path / "out" / "LICENSE").read_text()
    assert litert_js.VERSION in (tmp_path / "out" / "NOTICE").read_text()


def test_packed_and_kept_in_the_cache(tmp_path, runtime, monkeypatch):
    folder = packed(tmp_path / "tgz", runtime)
    expected = litert_js.read(runtime)
    assert litert_js.read(folder) == expected

    def npm(command, cwd, **_):
        assert command[1:3] == ["pack", "--silent"]
        assert command[-2:] == list(litert_js.PACKAGES)
        for file in folder.iterdir():
            shutil.copy(file, cwd)
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(litert_js.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(litert_js.subprocess, "run", npm)
    assert litert_js.read() == expected
    monkeypatch.setattr(litert_js.subprocess, "run", None)  # a second time it is not asked
    assert litert_js.read() == expected


def test_without_npm_the_commands_are_told(runtime, monkeypatch):
    monkeypatch.setattr(litert_js.shutil, "which", lambda name: None)
    with pytest.raises(SettingsError, match=r"npm pack .*@litertjs/core@2\.5\.3 .*--runtime"):
        litert_js.read()


def test_npm_that_fails(runtime, monkeypatch):
    monkeypatch.setattr(litert_js.shutil, "which", lambda name: f"/bin/{name}")
    failed = type("Done", (), {"returncode": 1, "stderr": "network unreachable\n", "stdout": ""})
    monkeypatch.setattr(litert_js.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SettingsError, match=r"network unreachable.*npm pack"):
        litert_js.read()


def test_a_changed_file_is_refused(runtime):
    file = runtime / "node_modules" / "@litertjs" / "core" / "wasm" / "litert_wasm_threaded_internal.wasm"
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        SettingsError, match=r"litert_wasm_threaded_internal.wasm.* is not the file of version"
    ):
        litert_js.read(runtime)


def test_another_version_a_missing_folder_a_damaged_archive(tmp_path, runtime):
    with pytest.raises(SettingsError, match=r"litertjs-core-2\.6\.0\.tgz, which this kseg does not know"):
        litert_js.read(packed(tmp_path / "other", runtime, "2.6.0"))
    with pytest.raises(SettingsError, match="no such folder"):
        litert_js.read(tmp_path / "none")
    folder = packed(tmp_path / "damaged", runtime)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(SettingsError, match="damaged"):
        litert_js.read(folder)


def test_a_member_that_is_a_folder(tmp_path, runtime):
    folder = tmp_path / "odd"
    folder.mkdir()
    with tarfile.open(folder / f"litertjs-core-{litert_js.VERSION}.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/dist/index.js")
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry, io.BytesIO())
    with pytest.raises(SettingsError, match="damaged"):
        litert_js.read(folder)
