"""Change one operator, number or condition at a time in a module, and report the changes that no test notices.

    python tools/mutate.py kseg/ops kseg/losses/cross_entropy.py --count 100 --seed 0

Works on a copy of the repository. Each change is run against the module's own test files (tests/.../test_MODULE.py);
an unnoticed one is either without effect or a missing test, which a person has to tell.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

MARKS = "not slow and not realdata and not browser and not docs"
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
SWAPS |= {
    ast.Mod: ast.Add,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
SWAPS |= {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn}
SWAPS |= {ast.And: ast.Or, ast.Or: ast.And, ast.NotIn: ast.In, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}


def places(tree: ast.Module) -> list[ast.AST]:
    """The nodes that `changed` can change; annotations and texts are left alone."""
    left_out = set()
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None:
                left_out |= {id(inner) for inner in ast.walk(getattr(node, field))}
        if isinstance(node, ast.Raise | ast.JoinedStr):
            left_out |= {id(inner) for inner in ast.walk(node)}
    return [node for node in ast.walk(tree) if id(node) not in left_out and changed(node) is not None]


def changed(node: ast.AST) -> ast.AST | None:
    """The node with one operator, number or condition changed; None where there is nothing to change."""
    node = copy.copy(node)
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        node.op = SWAPS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        node.ops = [SWAPS[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value = node.value + 1 if isinstance(node.value, int) else node.value * 1.5 + 0.01
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return node.operand
    else:
        return None
    return node


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def tests_of(module: Path, root: Path) -> list[str]:
    folder = root / "tests" / module.relative_to("kseg").parent
    return [str(path) for path in sorted(folder.glob(f"test_{module.stem}*.py"))]


def noticed(tests: list[str], root: Path, seconds: float) -> bool:
    """Whether a test fails, or runs for too long; in a child process that shares the imports of this one."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1), os.dup2(1, 2)
        os.chdir(root)
        sys.path.insert(0, str(root))
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", MARKS, *tests])))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", type=Path, help="files or folders below kseg")
    parser.add_argument("--count", type=int, default=100, help="changes to try; default: 100")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--seconds", type=float, default=300, help="for the tests of one change; default: 300"
    )
    asked = parser.parse_args(argv)
    import tensorflow  # noqa: F401, once for all children

    files = [f for path in asked.modules for f in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    random.seed(asked.seed)
    trees = {
        file: ast.parse(file.read_text(encoding="utf-8")) for file in files if file.name != "__init__.py"
    }
    every = [(file, node) for file, tree in trees.items() for node in places(tree)]
    chosen, unnoticed = random.sample(every, min(asked.count, len(every))), 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for part in ("kseg", "tests", "tools", "pyproject.toml"):
            (shutil.copytree if Path(part).is_dir() else shutil.copy)(part, root / part)
        for number, (file, node) in enumerate(chosen, 1):
            text = file.read_text(encoding="utf-8")
            new = changed(node)
            (root / file).write_text(ast.unparse(_Replace(node, new).visit(trees[file])), encoding="utf-8")
            _Replace(new, node).visit(trees[file])
            tests = tests_of(file, root)
            if not (hit := bool(tests) and noticed(tests, root, asked.seconds)):
                unnoticed += 1
            what = f"{ast.unparse(node).splitlines()[0]} -> {ast.unparse(new).splitlines()[0]}"
            print(
                f"{number:4} {'noticed  ' if hit else 'UNNOTICED'} {file}:{node.lineno}: {what[:150]}",
                flush=True,
            )
            (root / file).write_text(text, encoding="utf-8")
    print(f"{len(chosen) - unnoticed} of {len(chosen)} changes noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    raise SystemExit(main())
