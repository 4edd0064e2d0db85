"""The lines of a class list in text: what each says, or why it is refused."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kseg.errors import DataError

Colour = tuple[int, int, int]
EXPECTED = 'expected "name", "name R G B" or "name #RRGGBB"'
NAME_COLUMNS = {"name", "names", "class", "classes", "label", "labels", "category", "classname", "labelname"}
ID_COLUMNS = {"id", "ids", "index", "idx", "classid", "labelid", "value", "pixelvalue", "no", "number"}
COLOUR_COLUMNS = {"color", "colour", "rgb", "colorrgb", "colourrgb", "hex", "hexcolor", "colorhex", "htmlcolor"}
_CHANNELS = {"r": 0, "red": 0, "g": 1, "green": 1, "b": 2, "blue": 2}
_HEX = re.compile(r"(?:#|0x)([0-9a-f]{6}|[0-9a-f]{3})", re.IGNORECASE)
_TUPLE = re.compile(r"(?:rgb)?\s*[(\[]\s*(-?\d+)\s*[,; ]\s*(-?\d+)\s*[,; ]\s*(-?\d+)\s*[)\]]", re.IGNORECASE)
_ID_IN_FRONT = re.compile(r"(?P<id>\d{1,9})(?:\s*[-.:,;=)]\s*|\s+)(?P<name>\S.*)$", re.ASCII)
_ID_BEHIND = re.compile(r"(?P<name>.*[^\s:,;=-])(?:\s*[-:,;=]\s*|\s+)(?P<id>\d{1,9})$", re.ASCII)


@dataclass(frozen=True)
class ClassLine:
    """What one line, or one entry, says: a name, and the id and colour where it gives them."""

    where: str
    name: str
    number: int | None = None
    colour: Colour | None = None


def refused(where: str, line: str, why: str) -> DataError:
    return DataError(f"{where}: {line.strip()!r} {why}; {EXPECTED}")


def read_lines(path: Path, text: str) -> list[ClassLine]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = without_comment(line)
        if content:
            rows.append((f"{path}, line {number}", content))
    if rows and (columns := _header(rows[0][1])) is not None:
        return [_by_columns(where, line, columns) for where, line in rows[1:]]
    if rows and all(re.match(r"[-*]\s+\S", line) for _, line in rows):  # a list in YAML or Markdown
        rows = [(where, line[1:].strip()) for where, line in rows]
    parts = [(where, line, *name_and_colour(where, line)) for where, line in rows]
    for pattern in (_ID_IN_FRONT, _ID_BEHIND):
        matches = [pattern.match(name) for _, _, name, _ in parts]
        if not parts or None in matches:
            continue
        names, ids = [match["name"] for match in matches], [int(match["id"]) for match in matches]
        # Behind the name it is an id where all are 0, 1, 2, ..., and not what tells the names apart ("class 0").
        if pattern is _ID_IN_FRONT or (len(set(names)) == len(names) and sorted(ids) == list(range(len(ids)))):
            return [
                ClassLine(where, _unquoted(name)[0], number, colour)
                for (where, _, _, colour), name, number in zip(parts, names, ids, strict=True)
            ]
    for where, line, name, _ in parts:
        if re.search(r"[,;\t:=]", name) and not name.startswith(('"', "'")):
            raise refused(where, line, "is no class name alone, and what follows it is no colour")
    return [ClassLine(where, _unquoted(name)[0], None, colour) for where, _, name, colour in parts]


def without_comment(line: str) -> str:
    """A line without white space around it and without its comment; empty where nothing else is in it."""
    line = line.strip()
    if line.startswith(("//", ";", "%")) or (
        line.startswith("#") and not re.match(r"#[0-9a-fA-F]{6}[\s,;]+\S", line)
    ):
        return ""
    return re.sub(r"\s+(#(?=\s|$)|//).*$", "", line)


def _header(line: str) -> list[str] | None:
    """The columns of a header line: "name", "id", "colour", 0, 1, 2 for channels as text, "" for others; else None."""
    separator = next((mark for mark in (",", ";", "\t") if mark in line), None)
    cells = line.split(separator) if separator else re.split(r"[\s:]+", line)
    words = [re.sub(r"[^a-z]", "", cell.lower()) for cell in cells]
    columns = []
    for word in words:
        known = (("name", NAME_COLUMNS), ("id", ID_COLUMNS), ("colour", COLOUR_COLUMNS))
        kind = next((kind for kind, names in known if word in names), "")
        columns.append(str(_CHANNELS[word]) if word in _CHANNELS else kind)
    channels = [column for column in columns if column in ("0", "1", "2")]
    named = columns.count("name") >= 1
    if len(columns) == 1:
        return columns if named else None
    if not named or (channels and sorted(channels) != ["0", "1", "2"]):
        return None
    if not channels and not {"id", "colour"} & set(columns):
        return None
    return columns


def _by_columns(where: str, line: str, columns: list[str]) -> ClassLine:
    """A line below a header."""
    if len(columns) == 1:
        name, colour = name_and_colour(where, line)
        return ClassLine(where, _unquoted(name)[0], None, colour)
    separator = next((mark for mark in (",", ";", "\t") if mark in line), None)
    if separator:
        cells = [
            cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        ]
    else:
        cells = line.split()
        if len(cells) > len(columns) and columns.count("name") == 1:  # a name of several words
            at, spare = columns.index("name"), len(cells) - len(columns)
            cells[at : at + spare + 1] = [" ".join(cells[at : at + spare + 1])]
    if len(cells) != len(columns):
        raise refused(where, line, f"has {len(cells)} fields, the header {len(columns)}")
    found = dict(zip(reversed(columns), reversed(cells), strict=True))  # of two names the first
    number, colour = None, None
    if "id" in found:
        if not found["id"].isdecimal():
            raise refused(where, line, f"has the id {found['id']!r}, which is not a whole number")
        number = int(found["id"])
    if "0" in found:
        colour = colour_of(where, line, [found[channel] for channel in "012"])
    elif found.get("colour"):
        name, colour = name_and_colour(where, f"x {found['colour']}")
        if colour is None or name != "x":
            raise refused(where, line, f"has the colour {found['colour']!r}, which is not a colour")
    return ClassLine(where, _unquoted(found["name"])[0], number, colour)


def name_and_colour(where: str, line: str) -> tuple[str, Colour | None]:
    """What a line says besides its colour, and its colour: at the end, in front, or before CVAT's parts."""
    cvat = re.fullmatch(r"(.+?):(\d+),(\d+),(\d+):[^:]*:[^:]*", line)
    if cvat:
        return cvat[1], colour_of(where, line, cvat.groups()[1:])
    if re.fullmatch(r"[^:]+::[^:]*:[^:]*", line):
        return line.split(":")[0], None
    if "{" in line or "}" in line or "<" in line:
        raise refused(where, line, "is a form that kseg does not know")
    quoted, rest = _unquoted(line)
    if rest is not None:
        if not rest.strip(" ,;\t"):
            return f'"{quoted}"', None
        name, colour = name_and_colour(
            where, f"x {rest.lstrip(' ,;:=') if rest[0] in ' ,;:=' + chr(9) else rest}"
        )
        if name != "x" or colour is None:
            raise refused(where, line, "has something after the name that is not a colour")
        return f'"{quoted}"', colour
    if re.search(r"\b(?:hs[lv]|rgba|cmyk|bgr)\s*[(\[]", line, re.IGNORECASE):
        raise refused(where, line, "has a colour in a notation that kseg does not know")
    for pattern in (_HEX, _TUPLE):
        match = pattern.search(line)
        if match and (match.start() == 0 or match.end() == len(line)):
            name = (line[: match.start()] + line[match.end() :]).strip(" \t,;:=")
            groups = match.groups()
            if pattern is _HEX:
                digits = groups[0] if len(groups[0]) == 6 else "".join(2 * digit for digit in groups[0])
                groups = tuple(int(digits[at : at + 2], 16) for at in (0, 2, 4))
            return _named(where, line, name), colour_of(where, line, groups)
    if re.search(r"#\w|rgba?\s*\(|hsl|0x|\(\s*\d|\[\s*\d", line, re.IGNORECASE):
        raise refused(where, line, "has a colour in a notation that kseg does not know")
    line = re.sub(r"\s*[:=]\s*(?=\d+[\s,;]+\d+[\s,;]+\d+[\s,;]*$)", " ", line).strip(" \t,;")
    words = re.split(r"[\s,;]+", line)
    digits = [word.lstrip("-").isdecimal() and word.isascii() for word in words]
    behind = next((at for at, digit in enumerate(reversed(digits)) if not digit), len(digits))
    before = next((at for at, digit in enumerate(digits) if not digit), len(digits))
    if any(re.fullmatch(r"[01]?\.\d+|[01]\.", word) for word in words[1:]):
        raise refused(where, line, "has a colour that is not in whole numbers from 0 to 255")
    if behind >= 3 and behind in (3, 4) and before < len(words):
        if behind == 4:
            raise refused(where, line, "ends in four numbers, where a colour has three")
        head = re.split(r"[\s,;]+" + r"[\s,;]+".join(map(re.escape, words[-3:])) + r"[\s,;]*$", line)[0]
        return _named(where, line, head.strip(" \t,;:=")), colour_of(where, line, words[-3:])
    if before in (3, 4) and len(words) > before:  # a colour in front, and an id before it
        name = " ".join([*words[: before - 3], *words[before:]])
        return name, colour_of(where, line, words[before - 3 : before])
    if before > 1 or behind > 1:
        raise refused(where, line, f"has {max(before, behind)} numbers, where a colour has three")
    return _named(where, line, line), None


def _named(where: str, line: str, name: str) -> str:
    if not name:
        raise refused(where, line, "has no name")
    return name


def colour_of(where: str, line: str, values: Any) -> Colour:
    texts = [str(value).strip() for value in values]
    if not all(re.fullmatch(r"\d{1,9}", text, re.ASCII) and int(text) <= 255 for text in texts):
        raise refused(where, line, f"has the colour {', '.join(texts)}, which is not 0-255")
    return tuple(map(int, texts))


def _unquoted(text: str) -> tuple[str, str | None]:
    """A text without quotes around it, and what follows the closing quote; None for that where nothing is quoted."""
    text = text.strip()
    match = re.match(r"""(?:"([^"]+)"|'([^']+)')(.*)$""", text)
    return ((match[1] or match[2]).strip(), match[3]) if match else (text, None)
