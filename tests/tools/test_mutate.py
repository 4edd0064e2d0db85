import ast
import subprocess
import sys
import textwrap

import pytest

from tools import mutate


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a + b", "a - b"),
        ("a < b", "a <= b"),
        ("a == b", "a != b"),
        ("a and b", "a or b"),
        ("not a", "a"),
        ("-a", "a"),
        ("3", "4"),
        ("True", "False"),
        ("x if a else y", "x if not a else y"),
    ],
)
def test_one_change(before, after):
    node = ast.parse(before, mode="eval").body
    assert ast.unparse(mutate.changed(node)) == after
    assert ast.unparse(node) == before


def test_texts_and_annotations_are_left_alone():
    tree = ast.parse(
        'def f(a: "list[1 + 2]" = 3) -> tuple[4]:\n    """5 + 6."""\n    raise ValueError(f"{7}")'
    )
    assert [node.value for node in mutate.places(tree)] == [3]


@pytest.mark.slow
def test_finds_what_no_test_notices(tmp_path):
    for name, text in {
        "kseg/halves.py": """
            def half(x):
                return x / 2
            def tested_nowhere(x):
                return x * 2
            """,
        "tests/test_halves.py": """
            from kseg.halves import half
            def test_half():
                assert half(6) == 3
            """,
        "kseg/__init__.py": "",
        "tools/__init__.py": "",
        "pyproject.toml": "[tool.pytest.ini_options]\nmarkers = ['slow']",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    command = [sys.executable, mutate.__file__, "kseg/halves.py", "--seconds", "60"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    found = {line.split(": ")[1]: "UNNOTICED" in line for line in lines[:-1]}
    assert found == {"x / 2 -> x * 2": False, "2 -> 3": True, "x * 2 -> x + 2": True}
    assert lines[-1] == "2 of 4 changes noticed"
