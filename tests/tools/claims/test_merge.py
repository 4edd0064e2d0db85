"""Results of several files on one page: longer runs take the place of shorter ones, claims pair runs of one length."""

import pytest

KEYS = ("fcn16s", "fcn32s")


def line(variant, seed, steps, mean_iou, data="camvid"):
    return {
        "variant": variant,
        "data": data,
        "seed": seed,
        "steps": steps,
        "limit": None,
        "mean_iou": mean_iou,
        "weights": 7,
        "seconds": 1.0,
    }


@pytest.fixture
def short(claims, tmp_path):
    """16s above 32s by 10, 11 and 12 points after 60 steps, in a file."""
    results = claims.runs.Results(tmp_path / "claims.jsonl")
    for seed in range(3):
        results.add(line("fcn16s", seed, 60, 0.5 + seed / 100))
        results.add(line("fcn32s", seed, 60, 0.4))
    return results


def test_longer_runs_replace_shorter_ones_once_all_seeds_are_there(claims, short):
    other = [line("fcn16s", seed, 300, 0.6) for seed in range(3)] + [line("fcn32s", seed, 300, 0.5) for seed in (0, 1)]
    scales = {"test": "scales", "data": "voc", "images": 4, "mean_iou": {}, "differences": {}}
    short.merge([*other, {**scales, "seconds": 1.0}])
    lengths = {(one["variant"], one["steps"]) for one in short.lines if "variant" in one}
    assert lengths == {("fcn16s", 300), ("fcn32s", 60), ("fcn32s", 300)}
    assert claims.runs.read(short.path) == short.lines
    short.merge([line("fcn32s", 2, 300, 0.5), {**scales, "seconds": 2.0}])
    assert {one["steps"] for one in short.lines if "variant" in one} == {300}
    assert [one["seconds"] for one in short.lines if "test" in one] == [1.0]
    assert len(short.lines) == 7


def test_a_line_that_is_still_written_is_not_read(claims, short):
    with short.path.open("a") as file:
        file.write('{"variant": "fcn16s", "see')
    before = short.path.read_bytes()
    assert len(claims.runs.read(short.path)) == 6
    assert short.path.read_bytes() == before


def test_claims_pair_runs_of_one_length(claims, short):
    claim = claims.claimed.HEADS[0]
    assert (claim.better, claim.worse) == KEYS
    longer = [line(key, seed, 300, 0.6) for key in KEYS for seed in (0, 1)]
    interval, steps = claims.page.interval_of(claim, [*longer, *short.lines], "camvid")
    assert (interval.mean, interval.count, steps) == (pytest.approx(11), 3, (60, None))
    longer += [line(key, 2, 300, 0.6) for key in KEYS]
    interval, steps = claims.page.interval_of(claim, [*longer, *short.lines], "camvid")
    assert (interval.mean, interval.count, steps) == (pytest.approx(0), 3, (300, None))
    assert claims.page.interval_of(claim, longer, "voc") is None


def test_of_several_networks_the_better_one_counts_for_each_seed(claims):
    claim = claims.claimed.Claim("", "mean", "a|b", None, "")
    scores = {"mean": (0.5, 0.5), "a": (0.4, 0.1), "b": (0.2, 0.3)}
    lines = [line(key, seed, 9, one, "whole") for key, both in scores.items() for seed, one in enumerate(both)]
    interval, _ = claims.page.interval_of(claim, lines, "whole")
    assert interval.mean == pytest.approx(15)
    assert claims.page.interval_of(claim, lines[:-2], "whole") is None


def test_page_says_seeds_steps_and_what_is_missing(claims, short, tmp_path):
    whole = [line(key, seed, 80, 0.4, "whole") for key in ("whole-psp-base", "whole-psp-step") for seed in (0, 1)]
    page = claims.page.write([*short.lines, *whole], tmp_path / "docs").read_text()
    row = next(row for row in page.splitlines() if row.startswith("| 16s above 32s |"))
    assert "+11.00 [+8.52, +13.48] | shown" in row  # 11 -+ 4.303 / sqrt(3)
    assert row.endswith("| 3 | 60 |")
    row = next(row for row in page.splitlines() if row.startswith("| poly above step |"))
    assert "| too few seeds |" in row
    assert row.endswith("| 2 | 80 |")
    assert "--data camvid --steps 60 --seeds 0 1 2\n" in page
    assert "--data whole --steps 80 --seeds 0 1\n" in page
    missing = page.partition("## Not tested here")[2]
    assert "- not run yet: heads on VOC's animals and people" in missing
    assert "8s above 16s" in missing
    assert "16s above 32s" not in missing
