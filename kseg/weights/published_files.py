"""`published`: the weights files that kseg knows by name, and how a person gets them."""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kseg.errors import ModelError
from kseg.io.atomic import put_in_place, temporary_path, write_errors

_LIST = Path(__file__).with_name("published.json")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Published:
    """A weights file that its authors published.

    Attributes:
        file: file name, with its folder if the name alone says little.
        source: name of the source, as `import_weights` takes it.
        page: address of the page where a person finds it.
        url: the file's own address, or None.
        megabytes: size in MiB; None if the source does not state it.
        sha256_prefix: the beginning of its SHA-256, if that is part of the name; otherwise None.
        score: the published score, or None.
        protocol: what the score was measured on, and how.
        evaluate: the command that repeats the protocol with kseg, or None if none does exactly.

    Example:

    >>> isinstance(kseg.weights.published()[0].file, str)
    True
    """

    file: str
    source: str
    page: str
    url: str | None
    megabytes: float | None
    sha256_prefix: str | None
    score: str | None
    protocol: str | None
    evaluate: str | None

    def as_json(self) -> dict[str, Any]:
        """Give everything as JSON has it.

        Returns:
            A dict of plain values.
        """
        return asdict(self)


def published() -> tuple[Published, ...]:
    """List the published files that kseg knows by name.

    Returns:
        A tuple of `Published`, in the order of their sources. What no source states is None, never a guess.

    Example:

    >>> len(kseg.weights.published()) > 10
    True
    """
    rows = json.loads(_LIST.read_text(encoding="utf-8"))
    return tuple(Published(**row) for row in rows)


def find_published(name: str) -> Published | None:
    """The published file of this name, with or without its folder; None where kseg does not know it, or two have it."""
    rows = published()
    same = [row for row in rows if row.file == name] or [
        row for row in rows if row.file.rpartition("/")[2] == name
    ]
    return same[0] if len(same) == 1 else None


def fetch(
    one: Published, target: Path, report: Callable[[int], None] = lambda received: None, timeout: int = 30
) -> None:
    """Fetch a published file from its own address, and put it in its place once its hash agrees.

    Args:
        one: the file.
        target: where it goes.
        report: called with the number of bytes received.
        timeout: seconds to wait for an answer.

    Raises:
        ModelError: the file has no address of its own, the server cannot be reached, or the content has another hash
            than its name says. Nothing lies at `target` then.
    """
    if one.url is None:
        raise ModelError(f"{one.file} has no address of its own: get it by hand from {one.page}")
    found, received = hashlib.sha256(), 0
    with temporary_path(target) as part:
        try:
            request = urllib.request.Request(one.url, headers={"User-Agent": "kseg"})
            with (
                urllib.request.urlopen(request, timeout=timeout) as answer,
                write_errors(target),
                open(part, "wb") as file,
            ):
                while block := answer.read(_BLOCK):
                    file.write(block)
                    found.update(block)
                    received += len(block)
                    report(received)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise ModelError(
                f"{one.url}: cannot be fetched ({error}); get it by hand from {one.page}"
            ) from None
        if one.sha256_prefix and not found.hexdigest().startswith(one.sha256_prefix):
            raise ModelError(
                f"{one.url}: SHA-256 is {found.hexdigest()}, which does not begin with {one.sha256_prefix} as its name "
                "says; nothing was kept"
            )
        put_in_place(part, target)
