import numpy as np
import pytest

from kseg.data.findings import Channel, Finding, Findings, about_all_masks, about_channels


def counts(**pixels):
    found = np.zeros(256, np.int64)
    for name, count in pixels.items():
        found[int(name[1:])] = count
    return found


@pytest.mark.parametrize(
    ("pixels", "classes", "kinds"),
    [
        ({"i0": 5, "i1": 3}, None, []),
        ({"i0": 5, "i1": 3, "i255": 2}, ("a", "b"), []),
        ({"i0": 5, "i255": 3}, None, ["palette"]),
        ({"i0": 5}, None, ["one value"]),
        ({"i255": 5}, ("a",), ["one value", "empty class"]),
        ({"i0": 5, "i2": 3}, ("a", "b", "c"), ["empty class"]),
        ({"i0": 5, "i85": 3, "i170": 1}, None, ["palette"]),
    ],
)
def test_what_all_masks_together_tell(pixels, classes, kinds):
    found = about_all_masks("mine", counts(**pixels), 3, classes, own=True)
    assert [finding.kind for finding in found if finding.fatal] == kinds
    assert all(finding.message.startswith("mine: ") for finding in found)
    published = about_all_masks("mine", counts(**pixels), 3, classes or ("a", "b"), own=False)
    assert not any(finding.fatal for finding in published)


def test_the_table_says_how_many_can_be_used_and_why():
    findings = Findings(
        "mine", 8, ("a",), (90,), (8,), 10, (Finding("no mask", "x.png", "x.png: no mask"),), found=10
    )
    assert not findings.ok
    first, problem, _, row, ignored = findings.table().splitlines()
    assert first == "mine: 8 of 10 images can be used, 1 problem(s)"
    assert problem == "  problem, no mask: x.png: no mask"
    assert "90.00%" in row
    assert "10.00%" in ignored


def test_what_the_channels_tell():
    used, blank = Channel(0, 9000, 500, 30), Channel(7, 7, 7, 0)
    assert about_channels("mine", (used,), (0, 10000)) == []
    found = about_channels("mine", (used, blank), (0, 10000))
    assert [(one.kind, one.fatal) for one in found] == [("blank channel", False)]
    assert "channel 1 is 7 in every pixel" in found[0].message
    found = about_channels("mine", (used,), (0, 1e6))
    assert [(one.kind, one.fatal) for one in found] == [("value range", False)]
    assert about_channels("mine", (), (0, 255)) == []


def test_the_table_shows_channels_and_shares_of_the_area():
    channels = (Channel(0, 4000, 812.5, 33), Channel(0, 9, 1, 2))
    table = Findings("mine", 1, ("a", "b"), (80, 50), (1, 1), 0, (), 255, 1, channels, (0, 4095), 100).table()
    assert "80.00%" in table
    assert "50.00%" in table
    assert "812.5" in table
    assert "values of 0 to 4095" in table


def test_masks_of_no_class_at_all():
    found = about_all_masks("mine", counts(), 3, ("a", "b"), True, multilabel=True)
    assert [one.message for one in found] == [
        "mine: all pixels of all 3 images are of no class: nothing can be learned from them"
    ]
    assert (
        about_all_masks("mine", counts(i1=4), 3, ("a", "b"), True, multilabel=True)[0].kind == "empty class"
    )
