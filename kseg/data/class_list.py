"""Class lists as people and programs write them: one class a line, CSV with a header, CVAT, JSON, YAML.

A line that is in none of the known forms is refused, with its file and number: taken as a name it would be a class of
its own and shift all others.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from kseg.checks import colour, whole
from kseg.data.reading.class_lines import (
    COLOUR_COLUMNS,
    EXPECTED,
    ID_COLUMNS,
    NAME_COLUMNS,
    ClassLine,
    Colour,
    colour_of,
    name_and_colour,
    read_lines,
    refused,
    without_comment,
)
from kseg.data.reading.links import stay_inside
from kseg.errors import DataError
from kseg.io.regular import read_regular

IGNORE_LABEL = 255
FILES = (
    "classes.txt",
    *("classes.csv", "class_dict.csv", "labelmap.txt", "classes.json", "classes.yaml", "classes.yml"),
)


def find_class_list(root: Path) -> Path | None:
    """The class list of a data set's folder, None where it has none; DataError where it has two without classes.txt."""
    stay_inside(root, [root / name for name in FILES])
    found = [root / name for name in FILES if (root / name).is_file()]
    if len(found) > 1 and found[0].name != FILES[0]:
        names = " and ".join(path.name for path in found)
        raise DataError(
            f"{root}: {names} are class lists both: remove one, or write a classes.txt, which comes first"
        )
    return found[0] if found else None


def read_classes(path: str | Path) -> tuple[tuple[str, ...], dict[str, Colour]]:
    """Reads the class names in the order of their ids, and the colours given for them.

    Args:
        path: a text with one class a line ("name", "name R G B", "R G B name", "id name", "name #RRGGBB", "name
            rgb(R, G, B)", separated by spaces, tabs, commas or semicolons, with or without a header and comments), a
            CVAT `labelmap.txt`, a list or mapping in JSON or plain YAML.

    Returns:
        The names, and a dict from name to RGB colour. The name `ignore` is no class: its colour stands for ignored
        pixels.

    Raises:
        DataError: A line in none of these forms, a name or colour twice, ids that are not 0, 1, 2, ..., no class or
            more than 255; names the file and line.
    """
    path = Path(path)
    data, encoding = read_regular(path, max_pixels=0), "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as Windows and Excel save it
        encoding = "utf-16"
    elif b"\0" in data[:200]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text in UTF-8: save it again in that encoding") from None
    if text.lstrip()[:1] in ("[", "{") or path.suffix == ".json":
        try:
            found = json.loads(text)
        except ValueError as error:
            try:
                found = ast.literal_eval(text.strip())  # a list as Python prints it
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                raise DataError(
                    f"{path}: neither JSON nor a list of names ({error}); {EXPECTED} a line"
                ) from None
        lines = _of_entries(path, found)
    elif path.suffix in (".yaml", ".yml"):
        lines = _of_yaml(path, text)
    else:
        lines = read_lines(path, text)
    return _checked(path, _by_id(path, lines))


def _of_entries(path: Path, found: Any) -> list[ClassLine]:
    """The classes in a list of names or of dicts, or in a dict of ids, names and colours."""
    if isinstance(found, dict):
        inner = next((key for key in ("classes", "names", "labels", "categories") if key in found), None)
        if inner is not None and isinstance(found[inner], (list, dict)):
            return _of_entries(path, found[inner])
        entries: list[dict | None] = []
        for key, value in found.items():  # id to name, name to id, name to colour, or name to more
            first = {"id": int(key)} if str(key).isdecimal() else {"name": key}
            if isinstance(value, dict):
                entries.append({**first, **value})
            elif "id" in first:
                entries.append({**first, "name": value})
            else:
                entries.append({**first, "id" if isinstance(value, int) else "color": value})
    elif isinstance(found, (list, tuple)):
        entries = [one if isinstance(one, dict) else {"name": one} for one in found]
    else:
        entries = [None]
    lines = []
    for count, entry in enumerate(entries):
        where = f"{path}, entry {count}"
        known = {re.sub(r"[^a-z]", "", str(key).lower()): value for key, value in (entry or {}).items()}
        name = next((known[key] for key in sorted(NAME_COLUMNS) if isinstance(known.get(key), str)), None)
        number = next((known[key] for key in sorted(ID_COLUMNS) if key in known), None)
        colour = next((known[key] for key in sorted(COLOUR_COLUMNS) if known.get(key) is not None), None)
        if not name or isinstance(number, bool) or not isinstance(number, (int, type(None))):
            raise refused(where, json.dumps(entry, default=str), "is no class")
        if isinstance(colour, str):
            rest, colour = name_and_colour(where, f"x {colour}")
            colour = colour if rest == "x" else ()
        if colour is not None and (not isinstance(colour, (list, tuple)) or len(colour) != 3):
            raise refused(where, json.dumps(entry, default=str), "has a colour that cannot be read")
        lines.append(
            ClassLine(where, name.strip(), number, None if colour is None else colour_of(where, name, colour))
        )
    return lines


def _of_yaml(path: Path, text: str) -> list[ClassLine]:
    """The list or mapping below "names:" or "classes:", or the whole file, of what plain YAML needs."""
    rows = [(n, line.rstrip()) for n, line in enumerate(text.splitlines(), 1) if without_comment(line)]
    rows = [(n, line) for n, line in rows if line.strip() != "---"]
    for at, (_, line) in enumerate(rows):
        match = re.match(r"(?:names|classes|labels)\s*:\s*(.*)$", line)
        if match and match[1].startswith(("[", "{")):
            inner = match[1][1:-1]
            rows = [(rows[at][0], part.strip()) for part in inner.split(",") if part.strip()]
            break
        if match and not match[1]:
            below = rows[at + 1 :]
            stop = next(
                (i for i, (_, later) in enumerate(below) if re.match(r"[A-Za-z_]\w*\s*:", later)), len(below)
            )
            rows = below[:stop]
            break
    return read_lines(path, "\n".join(line.strip() for _, line in rows))


def _by_id(path: Path, lines: list[ClassLine]) -> list[ClassLine]:
    """The lines in the order of their ids, where they have some; these are 0, 1, 2, ..., and 255 for `ignore`."""
    classes = [line for line in lines if line.name != "ignore"]
    if all(line.number is None for line in lines):
        return lines
    for line in lines:
        if line.number is None or (line.name == "ignore" and line.number != IGNORE_LABEL):
            raise DataError(
                f"{line.where}: {line.name!r} has {'no id' if line.number is None else 'another id'}, where "
                f"the classes have ids from 0 on, and ignore has {IGNORE_LABEL}"
            )
    numbers = sorted(line.number for line in classes)
    for expected, line in enumerate(sorted(classes, key=lambda line: line.number)):
        if line.number != expected:
            raise DataError(
                f"{line.where}: {line.name!r} has the id {line.number}; ids are 0, 1, 2, ... without gaps, each once, "
                f"and these are {', '.join(map(str, numbers[:12]))}: number the classes again, in the masks too"
            )
    return sorted(lines, key=lambda line: line.number)


def _checked(path: Path, lines: list[ClassLine]) -> tuple[tuple[str, ...], dict[str, Colour]]:
    names, colours = [], {}
    for line in lines:
        if line.name == "ignore" and line.colour is None:
            if line.number == IGNORE_LABEL:
                continue
            raise DataError(
                f"{line.where}: ignore is not a class and has no id; give the colour of ignored pixels (ignore R G B), "
                f"or leave the line out: in masks of ids they are {IGNORE_LABEL}"
            )
        if line.name in names or line.name in colours:
            raise DataError(f"{line.where}: {line.name!r} is there twice: give every class a name of its own")
        if line.colour in colours.values():
            raise DataError(f"{line.where}: {line.name!r} repeats the colour {line.colour} of another class")
        if line.name != "ignore":
            names.append(line.name)
        if line.colour is not None:
            colours[line.name] = line.colour
    if len(names) > IGNORE_LABEL:
        raise DataError(f"{path}: {len(names)} classes; ids are 0 to 254, so at most 255 can be told apart")
    if not names:
        raise DataError(f'{path}: no class names; expected one class a line, "name" or "name R G B"')
    return tuple(names), colours


def mask_colours_of(names: tuple[str, ...], colours: dict[str, Colour]) -> tuple[tuple[Colour, int], ...]:
    """(colour, class id) pairs, as `Dataset.mask_colours`; the name `ignore` stands for 255."""
    ids = {name: index for index, name in enumerate(names)} | {"ignore": IGNORE_LABEL}
    return tuple((colour, ids[name]) for name, colour in colours.items())


def class_names(classes: Sequence[str] | int, name: str) -> tuple[str, ...]:
    """Names given to Python, or as many as a number says; `name` is the data set's.

    Raises:
        DataError: one name, or a set or dict, whose order is not that of the ids. SettingsError: another number.
    """
    if isinstance(classes, (str, Set, Mapping)):
        raise DataError(f"{name}: classes are a list of names in the order of their ids, or a number; got {classes!r}")
    if not isinstance(classes, Iterable):
        classes = [f"class {index}" for index in range(whole(classes, "classes", 1, 255))]
    return tuple(classes)


def named_colours(
    colours: Sequence[Colour | str] | Mapping[str, Colour | str], classes: Sequence[str], name: str
) -> dict[str, Colour]:
    """Colours given to Python, one a class in their order or by name, as RGB by name; `name` is the data set's.

    Raises:
        DataError: another number of colours, a colour of no class, or one twice. SettingsError: what is no colour.
    """
    if not isinstance(colours, Mapping):
        if len(colours) != len(classes):
            raise DataError(f"{name}: {len(colours)} colours for {len(classes)} classes")
        colours = dict(zip(classes, colours, strict=True))
    if unknown := set(colours) - {*classes, "ignore"}:
        raise DataError(f"{name}: a colour for {sorted(unknown, key=str)[0]!r}, which is not a class")
    named = {label: colour(one, f"the colour of {label!r}") for label, one in colours.items()}
    for label, one in named.items():
        same = next(other for other in named if named[other] == one)
        if same != label:
            raise DataError(f"{name}: {same!r} and {label!r} have the same colour, {one}: nothing tells them apart")
    return named
