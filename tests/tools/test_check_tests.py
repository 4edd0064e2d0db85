"""A module without a collected test is found."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("check_tests", ROOT / "tools" / "check_tests.py")
check_tests = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_tests)

TEST = "def test_it():\n    assert True\n"


@pytest.fixture
def project(tmp_path) -> Path:
    """A package of two modules with a test each, one of them marked."""
    files = {
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = \"--import-mode=importlib -m 'not slow'\"\n"
        'markers = ["slow: minutes"]\n',
        "kseg/__init__.py": "",
        "kseg/version.py": "",
        "kseg/errors.py": "",
        "kseg/data/__init__.py": "",
        "kseg/data/folder.py": "",
        "tests/test_errors.py": TEST,
        "tests/conftest.py": "",
        "tests/data/test_folder.py": f"import pytest\n\n\n@pytest.mark.slow\n{TEST}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.full
def test_marked_tests_count(project, capsys):
    assert check_tests.main([str(project)]) == 0
    assert "every module" in capsys.readouterr().out


def test_all_that_is_missing_is_named(project, capsys):
    (project / "kseg" / "data" / "voc.py").write_text("")  # no test file
    (project / "tests" / "test_errors.py").write_text("def check_it():\n    pass\n")  # no test in it
    (project / "tests" / "data" / "folder_tests.py").write_text(TEST)  # a name pytest does not look at
    (project / "tools").mkdir()
    (project / "tools" / "convert.py").write_text("")
    assert check_tests.main([str(project)]) == 1
    assert set(capsys.readouterr().out.splitlines()) == {
        "kseg/data/voc.py: no tests/data/test_voc.py",
        "kseg/errors.py: pytest collects no test in tests/test_errors.py",
        "tests/data/folder_tests.py: pytest never collects a file of this name",
        "tools/convert.py: no tests/tools/test_convert.py",
    }


def test_a_test_that_cannot_be_imported_is_named(project):
    (project / "tests" / "data" / "test_folder.py").write_text("import no_such_module\n")
    found = check_tests.check(project)
    assert any("cannot collect" in line and "test_folder.py" in line for line in found)
