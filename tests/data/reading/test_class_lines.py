import pytest

from kseg.data.reading.class_lines import name_and_colour, read_lines, without_comment
from kseg.errors import DataError


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("road", "road"),
        ("  road 1 2 3 # grey", "road 1 2 3"),
        ("road // grey", "road"),
        ("# road", ""),
        ("#", ""),
        ("// road", ""),
        ("; road", ""),
        ("road #010203", "road #010203"),
        ("#010203 road", "#010203 road"),
        ("C# code", "C# code"),
    ],
)
def test_comments(line, left):
    assert without_comment(line) == left


@pytest.mark.parametrize(
    "form", ["{} 10 20 30", "{},10,20,30", "10 20 30 {}", "{} #0a141e", "#0A141E {}", "{}: (10, 20, 30)"]
)
@pytest.mark.parametrize("name", ["car", "old tree", "Straße", "car-2"])
def test_name_and_colour(form, name):
    assert name_and_colour("here", form.format(name)) == (name, (10, 20, 30))


def test_short_colours_double_their_digits():
    assert name_and_colour("here", "car #f80") == ("car", (255, 136, 0))


def test_lines_know_where_they_stand(tmp_path):
    lines = read_lines(tmp_path / "a.txt", "# head\nid,name\n\n0,road\n1,car\n")
    assert [(line.where, line.name, line.number) for line in lines] == [
        (f"{tmp_path / 'a.txt'}, line 4", "road", 0),
        (f"{tmp_path / 'a.txt'}, line 5", "car", 1),
    ]
    with pytest.raises(DataError, match=r"a\.txt, line 3: 'car,' has 3 fields|a\.txt, line 3: '2,car,x'"):
        read_lines(tmp_path / "a.txt", "id,name\n0,road\n2,car,x\n")
