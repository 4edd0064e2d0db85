"""Following the Huffman codes of a JPEG file from its first block to its last, without making pixels.

Reference: ITU-T Recommendation T.81, annexes F (sequential) and G (progressive).
"""

from __future__ import annotations

import array
import math

import numpy as np

from kseg.io.formats.jpeg import PROGRESSIVE, RESTART, Damage, Frame, Scan

SPARE_BYTES = 2  # of an encoder that flushes more than it must
_TOO_EARLY = "its compressed data ends too early"
_NO_CODE = "a code that does not exist"
_TOO_MANY = "a block has too many coefficients"


def check_scans(data: bytes, frame: Frame) -> None:
    """Follow every code of every scan to its end, without making pixels.

    Raises:
        Damage: the data ends too early or too late, a code does not exist, a scan is missing.
    """
    if not frame.huffman:
        return
    if frame.kind == PROGRESSIVE:  # which coefficients are not zero yet, for the scans that refine them
        seen = [bytearray(64 * math.prod(_padded(frame, c))) for c in range(len(frame.sampling))]
    for scan in frame.scans:
        pieces = _pieces(data, scan)
        if len(scan.components) == 1:
            rows, columns = frame.blocks(scan.components[0][0])
        else:
            rows, columns = frame.units()
        count = rows * columns
        step = scan.interval or count
        if len(pieces) != math.ceil(count / step):
            raise Damage(f"{len(pieces)} parts between restart markers, {math.ceil(count / step)} expected")
        for number, piece in enumerate(pieces):
            bits = _Bits(piece)
            units = range(number * step, min((number + 1) * step, count))
            if frame.kind != PROGRESSIVE:
                end = _sequential(bits, frame, scan, len(units))
            elif scan.band[0] == 0:
                end = _dc_scan(bits, frame, scan, len(units))
            else:
                component, _, ac = scan.components[0]
                wide = _padded(frame, component)[1]
                starts = [64 * (unit // columns * wide + unit % columns) for unit in units]
                walk = _refining_scan if scan.previous else _first_scan
                end = walk(bits, _lookup(scan, 0x10 | ac), scan.band, starts, seen[component])
            left = 8 * len(piece) - end
            if left < 0:
                raise Damage(_TOO_EARLY)
            if left >= 8 * (1 + SPARE_BYTES):
                raise Damage(f"{left // 8} bytes of compressed data are left over")


def _padded(frame: Frame, component: int) -> tuple[int, int]:
    rows, columns = frame.units()
    across, down = frame.sampling[component]
    return rows * down, columns * across


def _pieces(data: bytes, scan: Scan) -> list[bytes]:
    """The compressed data between restart markers, without stuffed zeros."""
    pieces, number = [], 0
    content = data[scan.start : scan.stop]
    if scan.interval:
        at = begin = 0
        while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
            if content[at + 1] in RESTART:
                if content[at + 1] != 0xD0 + number % 8:
                    raise Damage("its restart markers are out of order")
                pieces.append(content[begin:at])
                begin, number = at + 2, number + 1
            at += 2
        content = content[begin:]
    # 0xFF may fill up the space before a marker; the data's own 0xFF has a zero after it.
    return [piece.rstrip(b"\xff").replace(b"\xff\x00", b"\xff") for piece in [*pieces, content]]


class _Bits:
    """16 bits from any place of some bytes; beyond their end there are ones."""

    def __init__(self, piece: bytes) -> None:
        values = np.frombuffer(piece + b"\xff" * 8, np.uint8).astype(np.uint32)
        joined = values[:-2] << 16 | values[1:-1] << 8 | values[2:]
        self.joined = array.array("I", joined.astype(np.uint32).tobytes())
        self.last = 8 * (len(piece) + 5)


_KEPT: dict[tuple[bytes, bytes], list[int]] = {}


def _lookup(scan: Scan, place: int) -> list[int]:
    """For 16 bits that begin with a code: its symbol times 32 plus its length; -1 where there is no such code."""
    if place not in scan.tables:
        raise Damage("a table of its codes is missing")
    counts, symbols = scan.tables[place]
    if (counts, symbols) not in _KEPT:
        found, code, at = np.full(65536, -1, np.int32), 0, 0
        for length, count in enumerate(counts, start=1):
            for symbol in symbols[at : at + count]:
                start = code << (16 - length)
                found[start : start + (1 << (16 - length))] = symbol * 32 + length
                code += 1
            at += count
            code <<= 1
        if len(_KEPT) > 64:
            _KEPT.clear()
        _KEPT[counts, symbols] = found.tolist()
    return _KEPT[counts, symbols]


def _sequential(bits: _Bits, frame: Frame, scan: Scan, units: int) -> int:
    """The place in bits after the last of `units` units of a sequential scan."""
    blocks = []
    for component, dc, ac in scan.components:
        across, down = frame.sampling[component] if len(scan.components) > 1 else (1, 1)
        blocks += [(_lookup(scan, dc), _lookup(scan, 0x10 | ac))] * (across * down)
    joined, last, at = bits.joined, bits.last, 0
    for _ in range(units):
        if at > last:
            raise Damage(_TOO_EARLY)
        for dc, ac in blocks:
            entry = dc[(joined[at >> 3] >> (8 - (at & 7))) & 0xFFFF]
            if entry < 0:
                raise Damage(_NO_CODE)
            at += (entry & 31) + (entry >> 5)
            place = 1
            while place < 64:
                if at > last:
                    raise Damage(_TOO_EARLY)
                entry = ac[(joined[at >> 3] >> (8 - (at & 7))) & 0xFFFF]
                if entry < 0:
                    raise Damage(_NO_CODE)
                size = entry >> 5 & 15
                at += (entry & 31) + size
                run = entry >> 9
                if size:
                    place += run + 1
                elif run == 15:
                    place += 16
                else:
                    break
            if place > 64:
                raise Damage(_TOO_MANY)
            if at > last:
                raise Damage(_TOO_EARLY)
    return at


def _dc_scan(bits: _Bits, frame: Frame, scan: Scan, units: int) -> int:
    """The same for a progressive scan of the blocks' means."""
    blocks = []
    for component, dc, _ in scan.components:
        across, down = frame.sampling[component] if len(scan.components) > 1 else (1, 1)
        blocks += [None if scan.previous else _lookup(scan, dc)] * (across * down)
    if scan.previous:
        return len(blocks) * units
    joined, last, at = bits.joined, bits.last, 0
    for _ in range(units):
        for dc in blocks:
            if at > last:
                raise Damage(_TOO_EARLY)
            entry = dc[(joined[at >> 3] >> (8 - (at & 7))) & 0xFFFF]
            if entry < 0:
                raise Damage(_NO_CODE)
            at += (entry & 31) + (entry >> 5)
    return at


def _first_scan(
    bits: _Bits, table: list[int], band: tuple[int, int], starts: list[int], seen: bytearray
) -> int:
    """The same for a progressive scan that brings new coefficients, which are marked in `seen`."""
    joined, last, at, blocks_left = bits.joined, bits.last, 0, 0
    for start in starts:
        if blocks_left:
            blocks_left -= 1
            continue
        place = band[0]
        while place <= band[1]:
            if at > last:
                raise Damage(_TOO_EARLY)
            entry = table[(joined[at >> 3] >> (8 - (at & 7))) & 0xFFFF]
            if entry < 0:
                raise Damage(_NO_CODE)
            at += entry & 31
            size, run = entry >> 5 & 15, entry >> 9
            if size:
                place += run
                if place > band[1]:
                    raise Damage(_TOO_MANY)
                seen[start + place] = 1
                at += size
                place += 1
            elif run == 15:
                place += 16
            else:
                if run:
                    window = (joined[at >> 3] >> (8 - (at & 7))) & 0xFFFF
                    blocks_left = (1 << run) + (window >> (16 - run)) - 1
                    at += run
                break
    if blocks_left:
        raise Damage("a run of empty blocks reaches beyond the image")
    return at


def _refining_scan(
    bits: _Bits, table: list[int], band: tuple[int, int], starts: list[int], seen: bytearray
) -> int:
    """The same for a progressive scan that brings one more bit of the coefficients marked in `seen`, and new ones."""
    joined, last, at, blocks_left = bits.joined, bits.last, 0, 0
    for start in starts:
        place, stop = start + band[0], start + band[1] + 1
        if not blocks_left:
            while place < stop:
                if at > last:
                    raise Damage(_TOO_EARLY)
                entry = table[(joined[at >> 3] >> (8 - (at & 7))) & 0xFFFF]
                if entry < 0:
                    raise Damage(_NO_CODE)
                at += entry & 31
                size, run = entry >> 5 & 15, entry >> 9
                if size:
                    at += 1  # its sign
                elif run != 15:
                    blocks_left = 1
                    if run:
                        window = (joined[at >> 3] >> (8 - (at & 7))) & 0xFFFF
                        blocks_left = (1 << run) + (window >> (16 - run))
                        at += run
                    break
                while place < stop:  # a bit for every coefficient passed that is not zero
                    if seen[place]:
                        at += 1
                    elif run == 0:
                        break
                    else:
                        run -= 1
                    place += 1
                if size:
                    if place >= stop:
                        raise Damage(_TOO_MANY)
                    seen[place] = 1
                place += 1
        if blocks_left:
            at += sum(map(bool, seen[place:stop]))
            blocks_left -= 1
    if blocks_left:
        raise Damage("a run of empty blocks reaches beyond the image")
    return at
