"""LiteRT.js, the runtime of the page: found on this machine or fetched by npm, every file checked by its SHA-256."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kseg.errors import SettingsError
from kseg.io.atomic import put_in_place, temporary_path
from kseg.io.cache import cache_folder

VERSION = "2.5.3"
PACKAGES = (f"@litertjs/core@{VERSION}", f"@litertjs/wasm-utils@{VERSION}")
_CORE, _UTILS = "core", "wasm-utils"
# Name in the site -> the npm package below @litertjs, the file's place in it, its SHA-256.
FILES = {
    "index.mjs": (
        _CORE,
        "dist/index.js",
        "e7daccc3a31eef890848a737ccb863ded5f046a6b40c3fdc0556495adeb5d9b3",
    ),
    "wasm-utils.mjs": (
        _UTILS,
        "dist/index.js",
        "e0e20bc28ab001ac732cf40d15b6eebd24fb0deaeb95eeba5100f51eebf015f2",
    ),
    "litert_wasm_internal.js": (
        _CORE,
        "wasm/litert_wasm_internal.js",
        "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb",
    ),
    "litert_wasm_internal.wasm": (
        _CORE,
        "wasm/litert_wasm_internal.wasm",
        "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614",
    ),
    "litert_wasm_compat_internal.js": (
        _CORE,
        "wasm/litert_wasm_compat_internal.js",
        "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5",
    ),
    "litert_wasm_compat_internal.wasm": (
        _CORE,
        "wasm/litert_wasm_compat_internal.wasm",
        "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c",
    ),
    "litert_wasm_threaded_internal.js": (
        _CORE,
        "wasm/litert_wasm_threaded_internal.js",
        "92fe7a720c6deedaa1194c011c79a005ea4f6fc98f533b661cf7900760ab4849",
    ),
    "litert_wasm_threaded_internal.wasm": (
        _CORE,
        "wasm/litert_wasm_threaded_internal.wasm",
        "b5e54eca10f043497edf9a02186332707cae260c550d7ea22b2cae55669596cf",
    ),
}
# Browsers do not resolve a package's name: this line of index.mjs is changed, and nothing else.
_IMPORT = (b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.mjs"')
NOTICE = f"""LiteRT.js {VERSION} (the npm packages {" and ".join(PACKAGES)})
Copyright Google LLC, licensed under the Apache License, Version 2.0; see LICENSE.
Source: github.com/google-ai-edge/LiteRT, folder litert/js.

Changed by kseg: index.mjs is dist/index.js with its import of "@litertjs/wasm-utils" pointing to ./wasm-utils.mjs,
and wasm-utils.mjs is dist/index.js of that package under another name. The other files are as published.
"""


def install(contents: dict[str, bytes], destination: Path) -> None:
    """Write what `read` gave, with the licence and a notice, into a new folder."""
    destination.mkdir(parents=True)
    for name, content in contents.items():
        (destination / name).write_bytes(content.replace(*_IMPORT) if name == "index.mjs" else content)
    (destination / "NOTICE").write_text(NOTICE, encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("LICENSE"), destination / "LICENSE")


def read(folder: str | Path | None = None) -> dict[str, bytes]:
    """The runtime's files as published, by their names in the site, each with the SHA-256 that it must have.

    Args:
        folder: where the npm packages lie, packed (`npm pack`) or installed (`node_modules`); None looks into
            the user's cache and then asks npm, and keeps what npm gave in the cache.

    Raises:
        SettingsError: the runtime is not there, or a file is not the one of this version; says what to type.
    """
    if folder is not None:
        return _checked(Path(folder))
    cache = cache_folder(f"litert-js-{VERSION}")
    if not all((cache / name).is_file() for name in FILES):
        with tempfile.TemporaryDirectory(prefix="kseg-npm-") as packed:
            _npm_pack(Path(packed))
            contents = _checked(Path(packed))
        with temporary_path(cache) as part:
            part.mkdir()
            for name, content in contents.items():
                (part / name).write_bytes(content)
            put_in_place(part, cache)
    return _checked(cache)


def _checked(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise SettingsError(f"--runtime {folder}: no such folder. {advice(folder)}")
    found = {}
    for name, (package, place, sha256) in FILES.items():
        content = next(_candidates(folder, name, package, place), None)
        if content is None:
            others = ", ".join(sorted(path.name for path in folder.glob(f"litertjs-{package}-*.tgz")))
            has = f"; it has {others}, which this kseg does not know" if others else ""
            raise SettingsError(
                f"{folder} has no {place} of @litertjs/{package} {VERSION}{has}. {advice(folder)}"
            )
        if (is_ := hashlib.sha256(content).hexdigest()) != sha256:
            raise SettingsError(
                f"{folder}: {place} of @litertjs/{package} is not the file of version {VERSION}: expected SHA-256 "
                f"{sha256}, found {is_}. Remove it. {advice(folder)}"
            )
        found[name] = content
    return found


def _candidates(folder: Path, name: str, package: str, place: str) -> Iterator[bytes]:
    """What a folder may hold a file as: under its name, installed by npm, or packed by npm."""
    installed = [folder / above / "@litertjs" / package / place for above in ("", "node_modules")]
    for path in (folder / name, *installed):
        if path.is_file():
            yield path.read_bytes()
    packed = folder / f"litertjs-{package}-{VERSION}.tgz"
    if packed.is_file():
        try:
            with tarfile.open(packed) as archive:
                yield archive.extractfile(f"package/{place}").read()
        except (tarfile.TarError, OSError, EOFError, KeyError, AttributeError) as error:
            raise SettingsError(f"{packed}: damaged ({error}). {advice(folder)}") from error


def advice(folder: Path | None = None) -> str:
    """The two commands that get the runtime and use it."""
    where = folder or Path("litert-js")
    return (
        f"Type: mkdir -p {where} && npm pack --pack-destination {where} {' '.join(PACKAGES)}  and then the same kseg "
        f"command with --runtime {where}"
    )


def _npm_pack(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SettingsError(
            f"The page runs on LiteRT.js {VERSION}, which is not on this machine, and npm is not here to fetch it. On "
            f"a machine with npm, {advice()[0].lower()}{advice()[1:]}"
        )
    command = [npm, "pack", "--silent", "--pack-destination", str(folder), *PACKAGES]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=300, check=False
        )
        said = "" if done.returncode == 0 else (done.stderr or done.stdout).strip() or "no reason given"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said:
        raise SettingsError(
            f"npm could not fetch LiteRT.js {VERSION} ({' '.join(said.split())[:200]}). {advice()}"
        )
