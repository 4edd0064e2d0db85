"""What is counted over samples; the faults are tested through `kseg.data.check`."""

import numpy as np
import pytest

from kseg.data.examination import RGB, Examination


def test_counts_where_classes_overlap():
    examination = Examination(10**6, own=True, kind=RGB._replace(multilabel=True))
    examination.classes = ("a", "b", "c")
    masks = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), (6, 7, 3))
    masks[0] = 255
    examination.count(masks, "x.png")
    findings = examination.conclude("mine", 1)
    assert findings.pixels == tuple((masks == 1).sum((0, 1)))
    assert findings.ignored == (masks == 255).all(-1).sum()
    assert findings.area == 42


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        (np.full((3, 4), 255, np.uint8), ["all ignored", "palette", "one value"]),
        (np.eye(3, dtype=np.uint8), []),
    ],
)
def test_a_mask_that_teaches_nothing(labels, kinds):
    examination = Examination(10**6, own=True)
    examination.count(labels, "x.png")
    findings = examination.conclude("mine", 1)
    assert [one.kind for one in findings.findings if one.fatal] == kinds
    assert sum(findings.pixels) + findings.ignored == labels.size
