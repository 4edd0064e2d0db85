import numpy as np
import pytest

from kseg.data.findings import Finding, Findings, about_all_masks


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
