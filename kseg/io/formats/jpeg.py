"""Damage inside JPEG files that decoders only warn about: libjpeg fills what it cannot read with grey and goes on.

The compressed data of a sound file ends exactly where its last block ends. A file with bytes changed, removed or cut
off ends elsewhere, lacks a scan, or has restart markers out of order.

Reference: ITU-T Recommendation T.81, annexes B (markers), F (sequential) and G (progressive).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

ZEROS = 16  # bytes
MAX_SCANS = 500  # a file of more is made to keep a decoder busy
RESTART = range(0xD0, 0xD8)
SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1), 0xC2


class Damage(Exception):
    """What is wrong inside of a JPEG file, in words."""


@dataclass
class Scan:
    """One pass over the image: its components' places, spectral band, precision, tables and compressed data."""

    components: list[tuple[int, int, int]]  # index, DC table, AC table
    band: tuple[int, int]
    previous: int  # bits of precision before this scan (Ah), and after it (Al)
    now: int
    tables: dict[int, tuple[bytes, bytes]]
    interval: int
    start: int
    stop: int


@dataclass
class Frame:
    """A JPEG file's frame header and its scans."""

    kind: int
    bits: int
    height: int
    width: int
    sampling: list[tuple[int, int]]  # horizontal, vertical
    names: list[int]
    scans: list[Scan] = field(default_factory=list)
    ended: bool = False

    @property
    def huffman(self) -> bool:
        return self.kind in SEQUENTIAL or self.kind == PROGRESSIVE

    @property
    def simple(self) -> bool:
        """One sequential scan without restart markers, as most files are."""
        return self.kind in SEQUENTIAL and len(self.scans) == 1 and not self.scans[0].interval

    def blocks(self, component: int) -> tuple[int, int]:
        """Rows and columns of a component's own 8x8 blocks."""
        across, down = (max(part) for part in zip(*self.sampling, strict=True))
        own_across, own_down = self.sampling[component]
        height = math.ceil(math.ceil(self.height * own_down / down) / 8)
        return height, math.ceil(math.ceil(self.width * own_across / across) / 8)

    def units(self) -> tuple[int, int]:
        """Rows and columns of the units (MCUs) that interleave all components."""
        across, down = (max(part) for part in zip(*self.sampling, strict=True))
        return math.ceil(self.height / (8 * down)), math.ceil(self.width / (8 * across))


def read_frame(data: bytes) -> Frame:
    """The headers of all scans, without decoding anything.

    Raises:
        Damage: the markers do not follow each other as they must.
    """
    frame, tables, interval, at = None, {}, 0, 2
    while True:
        start = data.find(b"\xff", at)
        if start != at or start + 1 >= len(data):
            if frame is not None and frame.scans:
                return frame  # without the end marker
            raise Damage("its headers are damaged or cut short")
        marker = data[start + 1]
        if marker == 0xFF:
            at = start + 1
            continue
        if marker == 0xD9:
            if frame is None or not frame.scans:
                raise Damage("it ends before the image begins")
            frame.ended = True
            return frame
        if marker == 0x01 or marker in RESTART or marker == 0xD8:
            at = start + 2
            continue
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        body = data[start + 4 : start + 2 + length]
        if length < 2 or len(body) != length - 2:
            raise Damage("its headers are damaged or cut short")
        at = start + 2 + length
        try:
            if marker == 0xC4:
                tables = {**tables, **_tables(body)}
            elif marker == 0xDD:
                interval = int.from_bytes(body[:2], "big")
            elif 0xC0 <= marker <= 0xCF and marker not in (0xC8, 0xCC):
                frame = _frame(marker, body)
            elif marker == 0xDA:
                if frame is None:
                    raise Damage("its data begins before the image's size is told")
                if len(frame.scans) >= MAX_SCANS:
                    raise Damage(f"it has more than {MAX_SCANS} scans")
                parts = [(body[i], body[i + 1]) for i in range(1, 1 + 2 * body[0], 2)]
                components = [(frame.names.index(name), codes >> 4, codes & 15) for name, codes in parts]
                first, last, precision = body[1 + 2 * body[0] : 4 + 2 * body[0]]
                begin, at = at, _end_of_data(data, at)
                bits = precision >> 4, precision & 15
                frame.scans.append(Scan(components, (first, last), *bits, tables, interval, begin, at))
        except (IndexError, struct.error, ValueError):
            raise Damage("its headers are damaged") from None


def _frame(marker: int, body: bytes) -> Frame:
    bits, height, width, count = struct.unpack(">BHHB", body[:6])
    parts = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    sampling = [(part[1] >> 4, part[1] & 15) for part in parts]
    if not sampling or any(not 1 <= one <= 4 for pair in sampling for one in pair):
        raise ValueError
    if count == 1:
        sampling = [(1, 1)]
    return Frame(marker, bits, height, width, sampling, [part[0] for part in parts])


def _tables(body: bytes) -> dict[int, tuple[bytes, bytes]]:
    """Code counts by length and the symbols of each table, by class and place (0x00, 0x10, ...)."""
    found, at = {}, 0
    while at < len(body):
        counts = body[at + 1 : at + 17]
        symbols = body[at + 17 : at + 17 + sum(counts)]
        if len(counts) < 16 or len(symbols) < sum(counts):
            raise ValueError
        found[body[at]] = (counts, symbols)
        at += 17 + sum(counts)
    return found


def _end_of_data(data: bytes, at: int) -> int:
    """Where the compressed data from `at` on ends: at the first marker that is not a restart marker."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] != 0 and data[at + 1] not in RESTART and data[at + 1] != 0xFF:
            return at
        at += 1 if data[at + 1] == 0xFF else 2


def check_zeros(data: bytes, frame: Frame) -> None:
    """Damage where a sequential scan holds zeros that no encoder writes: they would be one coefficient after another.

    Only where the code of zeros means "like the block before" for all components can flat areas be long zeros.
    """
    for scan in frame.scans if frame.kind in SEQUENTIAL else ():
        places = [place for _, dc, ac in scan.components for place in (dc, 0x10 | ac)]
        flat = all(place in scan.tables and scan.tables[place][1][:1] == b"\0" for place in places)
        if not flat and (at := data.find(bytes(ZEROS), scan.start, scan.stop)) >= 0:
            raise Damage(f"zeros in its compressed data, from byte {at} on")


def check_size(frame: Frame) -> None:
    """Damage where the compressed data cannot hold as many blocks as the size in the header needs.

    A block takes two bits at least (one, where scans share the work).
    """
    if not frame.huffman:
        return
    blocks = sum(math.prod(frame.blocks(component)) for component in range(len(frame.sampling)))
    bits = 8 * sum(scan.stop - scan.start for scan in frame.scans)
    needed = blocks * (1 if frame.kind == PROGRESSIVE else 2)
    if bits < needed:
        raise Damage(
            f"{frame.height}x{frame.width} pixels need more than the {bits // 8:,} bytes of compressed data in it"
        )


def check_complete(frame: Frame) -> None:
    """Damage where a component or its last bits have no scan, as at the end of a progressive file that was cut."""
    if not frame.huffman:
        return
    precision: dict[tuple[int, int], int] = {}
    for scan in frame.scans:
        for component, _, _ in scan.components:
            first, last = scan.band if frame.kind == PROGRESSIVE else (0, 63)
            precision.update({(component, place): scan.now for place in range(first, last + 1)})
    if any(precision.get((c, place), 1) for c in range(len(frame.sampling)) for place in range(64)):
        raise Damage("scans are missing at its end")
