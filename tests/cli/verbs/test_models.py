import json

import kseg
from kseg.cli.main import main


def test_one_line_a_net(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(kseg.models.names())
    assert all(len(line.split()) > 3 for line in lines)


def test_json_with_parameters(small_net, monkeypatch, capsys):
    known = kseg.models.names()
    monkeypatch.setattr("kseg.models.names", lambda: known[-2:])
    assert main(["models", "--json", "--parameters", "--classes", "5"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(known[-2:])
    assert rows[0]["parameters"] == (3 * 3 * 3 * 4 + 4) + (4 * 5 + 5)  # of the tiny model that stands in
