"""Measure the package: lines, files, functions' lengths, private helpers that are used once, public names.

    python tools/measure_house.py              the table
    python tools/measure_house.py --list       and which functions are over 50 lines, which helpers are used once
    python tools/measure_house.py ROOT         another checkout, such as an older commit's

A private helper is a function or method whose name begins with one underscore. It is used once where its name stands
once in its module outside of its own body, and no other module imports it. Lines of a function count from `def` to its
last line, its docstring left out. Public names are those in `__all__` of kseg and its parts.
"""

import argparse
import ast
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONG = 50
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measured:
    """One function: where, its name, its lines without the docstring, and how often a private helper is used."""

    file: Path
    line: int
    name: str
    length: int
    uses: int | None = None


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, Function]]:
    """Every function with the name of its class before it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield f"{owner}{node.name}", node
            yield from functions(node, owner)
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{node.name}.")
        else:
            yield from functions(node, owner)


def length(node: Function) -> int:
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines


def names_used(tree: ast.AST) -> Counter:
    """How often each name is read, as a variable or an attribute."""
    found = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found[node.id] += 1
        elif isinstance(node, ast.Attribute):
            found[node.attr] += 1
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def measure(root: Path) -> list[Measured]:
    """Every function of the package below `root`."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted((root / "kseg").rglob("*.py"))}
    imported = Counter(
        ((node.module or "").rpartition(".")[2], alias.name)
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )
    found = []
    for path, tree in trees.items():
        used = names_used(tree)
        for name, node in functions(tree):
            uses = None
            if is_private(node.name):
                inside = names_used(node)[node.name]  # it may call itself
                uses = used[node.name] - inside + imported[path.stem, node.name]
            found.append(Measured(path.relative_to(root), node.lineno, name, length(node), uses))
    return found


def public_names(root: Path) -> int:
    """How many names stand in `__all__` of kseg and of its parts."""
    count = 0
    for path in (root / "kseg" / "__init__.py", *sorted((root / "kseg").glob("*/__init__.py"))):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                count += sum(isinstance(item, ast.Constant) for item in node.value.elts)
    return count


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument(
        "--list", action="store_true", help="name the long functions and the helpers used once"
    )
    args = parser.parse_args(argv)

    found = measure(args.root)
    lengths = sorted(each.length for each in found)
    once = [each for each in found if each.uses == 1]
    files = sorted((args.root / "kseg").rglob("*.py"))
    folders = Counter(path.parent for path in files if path.name != "__init__.py")
    print(f"lines                 {sum(len(path.read_text('utf-8').splitlines()) for path in files):,}")
    print(f"files                 {len(files)}, at most {max(folders.values(), default=0)} in a folder")
    print(f"functions             {len(found):,}, median {statistics.median(lengths):g} lines")
    print(f"                      90th percentile {lengths[int(0.9 * len(lengths))]}")
    print(f"                      {sum(n > LONG for n in lengths)} over {LONG} lines")
    print(f"private, used once    {len(once)}, {len(once) / len(found):.1%} of all functions")
    print(f"public names          {public_names(args.root)}")
    if args.list:
        for each in sorted(found, key=lambda each: -each.length):
            if each.length > LONG:
                print(f"{each.file}:{each.line}: {each.name}, {each.length} lines")
        for each in sorted(once, key=lambda each: each.length):
            print(f"{each.file}:{each.line}: {each.name}, {each.length} lines, used once")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
