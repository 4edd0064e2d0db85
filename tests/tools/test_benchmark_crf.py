"""The CRF's benchmark measures what it says; its figures themselves are no test's business."""

import re

import numpy as np
import pytest


@pytest.fixture
def tool(tools_on_path):
    import benchmark_crf

    return benchmark_crf


def test_sizes_are_the_megapixels_they_say(tool):
    for megapixels in tool.MEGAPIXELS:
        height, width = tool.size_of(megapixels)
        assert height * width == pytest.approx(1e6 * megapixels, rel=2e-3)
        assert width / height == pytest.approx(4 / 3, rel=0.01)


@pytest.mark.parametrize("present", [4, 21])
def test_probabilities_with_so_many_classes_present(tool, present):
    soft = tool.probabilities(30, 40, present)
    assert soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(-1), 1, atol=1e-5)
    assert (soft.reshape(-1, 21).max(0) > 1e-3).sum() == present


@pytest.mark.parity
def test_against_the_reference(tool, capsys):
    pytest.importorskip("pydensecrf")
    tool.crf_speed(rounds=1, height=30, width=40)
    said = capsys.readouterr().out
    assert said.count("    ratio") == 2
    found = re.findall(r"equal labels ([\d.]+)%, largest difference (\S+)", said)
    assert len(found) == 2
    for same, off in found:
        assert float(same) >= 99.9  # of 1,200 noisy pixels one may be a tie within rounding
        assert float(off) <= 1e-4


@pytest.mark.slow
def test_growth_is_measured_in_a_process_of_its_own(tool, capsys):
    tool.crf_growth((0.01,))
    line = capsys.readouterr().out.splitlines()[1]
    assert "0.0 megapixels (115x87)" in line
    assert float(line.split(": ")[1].split(" s")[0]) > 0


@pytest.mark.slow
@pytest.mark.parity
def test_sizes_are_measured_beside_the_reference_and_the_estimate(tool, capsys):
    pytest.importorskip("pydensecrf")
    tool.crf_sizes((0.02,), (2,))
    line = capsys.readouterr().out.splitlines()[1]
    assert "(164x122), 2 classes" in line
    assert float(re.search(r"labels ([\d.]+)%", line)[1]) >= 99.99
    assert float(re.search(r"difference (\S+);", line)[1]) <= 1e-4


@pytest.mark.full
def test_a_device_beside_the_processor(tool, capsys, monkeypatch):
    monkeypatch.setenv("KSEG_DEVICE", "cpu")
    tool.crf_device(rounds=1, sizes=(0.001,))
    lines = capsys.readouterr().out.splitlines()
    assert "on cpu, " in lines[0]
    assert len(lines) == 3
    for line in lines[1:]:
        assert float(re.search(r"labels ([\d.]+)%", line)[1]) >= 99.9


def test_a_device_that_is_missing_is_said(tool, capsys, monkeypatch):
    monkeypatch.setenv("KSEG_DEVICE", "gpu:63")
    tool.crf_device()
    assert "on gpu:63: not measured" in capsys.readouterr().out


def test_error_is_measured_against_the_exact_sum(tool, capsys):
    tool.crf_error(12, 16)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for line in lines[1:]:
        assert 0 < float(re.search(r"mean ([\d.]+)", line)[1]) < 0.02
