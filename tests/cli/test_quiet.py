"""What libraries write while they are imported is kept off the screen."""

import os

import pytest

from kseg.cli.quiet import import_quietly, silence_tensorflow


def test_a_set_level_wins(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    silence_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_quiet_import_shows_what_was_said_when_it_fails(tmp_path, monkeypatch, capfd):
    (tmp_path / "quiet_module.py").write_text("import os\nos.write(2, b'chatter')\n")
    (tmp_path / "broken_module.py").write_text("import os\nos.write(2, b'reason')\nraise ImportError('no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_quietly("quiet_module")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError, match="no"):
        import_quietly("broken_module")
    assert capfd.readouterr().err == "reason"
