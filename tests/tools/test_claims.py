"""The claims' tool: the cache stands in for the network, intervals are Student's, a second start trains nothing."""

import json
import math
import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

pytestmark = pytest.mark.tensorflow
ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 96)


@pytest.fixture(scope="module")
def pictures():
    """Train and val of three classes, of other sizes than the views."""
    rng = np.random.default_rng(0)
    sets = []
    for split, count in (("train", 11), ("val", 5)):
        masks = rng.integers(0, 3, (count, 5, 7)).astype(np.uint8).repeat(16, 1).repeat(16, 2)
        masks[:, :3] = 255
        images = (masks[..., None] * 80 + rng.integers(0, 40, (*masks.shape, 3))).astype(np.uint8)
        sets.append(kseg.data.from_arrays(images, masks, classes=["a", "b", "c"], split=split))
    return sets


@pytest.fixture(scope="module")
def cached(claims, pictures, tmp_path_factory):
    """The narrow maps of both, two views of the training images, and the network that made them."""
    network, folder = claims.stored.narrow_maps(), tmp_path_factory.mktemp("claims")
    for dataset, views in zip(pictures, (2, 1), strict=True):
        augment = kseg.data.Augment(mirror=True)
        claims.cache.make(folder, dataset, network, SIZE, views=views, augment=augment)
    return folder, network


@pytest.mark.full
@pytest.mark.parametrize("stride", [32, 8])
def test_cached_stages_are_those_of_the_network(claims, pictures, cached, stride):
    """Wide stages are EfficientNet-Lite0's own, to float16's rounding; the deep ones at every output stride."""
    folder, _ = cached
    last = "stage5" if stride == 32 else "stage4"
    whole = kseg.backbones.EfficientNetLite(output_stride=stride, last_stage=last)
    numbered = claims.cache.numbered(folder, pictures[1])
    images = np.stack([numbered.load(index)[0] for index in (3, 0)])
    real = next(iter(kseg.data.pipeline(claims.datasets.fitted(pictures[1], SIZE), batch_size=5, size=SIZE)))
    found = claims.stored.CachedLite(folder, output_stride=stride)(images)
    expected = whole(real[0].numpy()[[3, 0]])
    assert list(found) == list(expected)
    for name, maps in expected.items():
        np.testing.assert_allclose(found[name], maps, atol=0.02, err_msg=name)
    np.testing.assert_array_equal(numbered.load(3)[1], real[1][3])


@pytest.mark.realdata
def test_cached_and_uncached_training_agree(claims, real_data, tmp_path):
    """Same seed, no augmentation: losses, weights and scores differ by float16's rounding of the maps alone."""
    pictures = [kseg.data.load("camvid", real_data / "camvid", split)[:8] for split in ("train", "val")]
    network = claims.stored.narrow_maps()
    for dataset in pictures:
        claims.cache.make(tmp_path, dataset, network, SIZE)
    results = {}
    for name, backbone, data in (
        ("cached", claims.stored.CachedLite(tmp_path), [claims.cache.numbered(tmp_path, one) for one in pictures]),
        ("whole", kseg.backbones.EfficientNetLite(), [_padded(claims.datasets.fitted(one, SIZE)) for one in pictures]),
    ):
        keras.utils.set_random_seed(3)
        model = kseg.models.FCN(backbone, 11, stride=8)
        recipe = claims.heads.recipe_of(claims.heads.VARIANTS[0], 3, 8)
        recipe = recipe.replace(size=SIZE, learning_rate=1e-3, batch_size=4, freeze_backbone=name == "whole")
        quiet = {"tensorboard": False, "verbose": False}
        history = kseg.training.fit(model, recipe, data[0], None, tmp_path / name, **quiet)
        report = kseg.evaluation.evaluate(model, data[1])
        head = {layer.name: layer.get_weights() for layer in model.layers if layer.name.startswith("score")}
        results[name] = history[-1]["loss"], report.mean_iou, head
    (loss, iou, head), (other_loss, other_iou, other_head) = results["cached"], results["whole"]
    assert loss == pytest.approx(other_loss, rel=1e-3)
    assert iou == pytest.approx(other_iou, abs=0.01)
    assert list(head) == ["score_fr", "score_pool4", "score_pool3"]
    for name, weights in head.items():
        assert np.abs(weights[0]).max() > 1e-3
        for ours, theirs in zip(weights, other_head[name], strict=True):
            # AdamW moves a weight by its rate whatever its gradient's size: those of tiny gradients differ by steps.
            assert np.abs(ours - theirs).mean() < 0.02 * np.abs(theirs).mean()


def _padded(dataset):
    images, labels = next(iter(kseg.data.pipeline(dataset, batch_size=len(dataset), size=SIZE)))
    return kseg.data.from_arrays(images.numpy(), labels.numpy(), classes=dataset.classes, split=str(dataset.split))


@pytest.mark.full
def test_cache_goes_on_and_refuses_others(claims, pictures, cached):
    folder, network = cached
    path = folder / "train" / "cache.json"
    facts = json.loads(path.read_text())
    assert facts["done"] == 22
    stage = np.load(folder / "train" / "stage4.npy", mmap_mode="r+")
    before = np.array(stage)
    stage[8:] = 0
    path.write_text(json.dumps({**facts, "done": 8}))
    augment = kseg.data.Augment(mirror=True)
    claims.cache.make(folder, pictures[0], network, SIZE, views=2, augment=augment)
    np.testing.assert_array_equal(np.load(folder / "train" / "stage4.npy"), before)
    with pytest.raises(kseg.errors.SettingsError, match="a cache of another views, augment"):
        claims.cache.make(folder, pictures[0], network, SIZE)


@pytest.mark.full
def test_damaged_cache_is_named(claims, pictures, tmp_path):
    network, folder = claims.stored.narrow_maps(("stage4",)), tmp_path / "val"
    claims.cache.make(tmp_path, pictures[1], network, SIZE)
    path = folder / "stage4.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(kseg.errors.SettingsError, match=r"stage4\.npy is missing or damaged: remove its folder"):
        claims.cache.make(tmp_path, pictures[1], network, SIZE)
    (folder / "cache.json").write_text('{"data": "hal')
    with pytest.raises(kseg.errors.SettingsError, match=r"cache\.json is damaged: remove the folder"):
        claims.cache.make(tmp_path, pictures[1], network, SIZE)


@pytest.mark.full
def test_fixed_places_are_the_first_of_each_window(claims, cached):
    """Unpooling at fixed places is zeros between the values: a transposed convolution of stride 2."""
    backbone = claims.stored.CachedLite(cached[0], unpooling="fixed")
    argmax, narrow = backbone.switches("stage3")
    places = keras.Model(backbone.input, [argmax, narrow])
    image = np.zeros((1, *SIZE, 3), np.uint8)
    argmax, narrow = (np.asarray(part) for part in places(image))
    _, height, width, channels = narrow.shape
    rows, columns = np.meshgrid(np.arange(0, height, 2), np.arange(0, width, 2), indexing="ij")
    np.testing.assert_array_equal(argmax[0, ..., 5], (rows * width + columns) * channels + 5)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["fcn8s-sampled", "fcn8s-staged", "v1-4x4-r8", "deconv-switches", "v3plus-decoder"])
def test_heads_take_a_step_and_are_scored(claims, pictures, cached, key):
    variant = next(one for one in claims.heads.VARIANTS if one.key == key)
    line = claims.runs.train(variant, 1, cached[0], *pictures, steps=1)
    assert 0 <= line["mean_iou"] <= 1
    assert math.isfinite(line["loss"])
    assert line["weights"] > 0


def test_second_start_trains_what_is_missing(claims, tmp_path):
    trained = []

    def train(variant, seed):
        trained.append((variant.key, seed))
        return {"mean_iou": 0.5 + seed / 100, "seconds": 1.0, "weights": 3}

    results = claims.runs.Results(tmp_path / "claims.jsonl")
    two, settings = claims.heads.VARIANTS[:2], {"data": "camvid", "steps": 5, "limit": None}
    results.add({"variant": two[0].key, "seed": 0, "mean_iou": 0.4, **settings})
    claims.runs.train_all(two, [0, 1], results, train, **settings)
    assert trained == [(two[1].key, 0), (two[0].key, 1), (two[1].key, 1)]
    with (tmp_path / "claims.jsonl").open("a") as file:
        file.write('{"variant": "half a li')
    again = claims.runs.Results(tmp_path / "claims.jsonl")
    assert again.lines == results.lines
    assert len((tmp_path / "claims.jsonl").read_text().splitlines()) == 4
    claims.runs.train_all(two, [0], again, train, data="camvid", steps=6, limit=None)
    assert trained[3:] == [(two[0].key, 0), (two[1].key, 0)]  # another length is another run


@pytest.mark.parametrize("text", ["{half a line", "[1, 2]", '{"name": "another file"}', '{"test": "scales"}'])
def test_other_lines_are_named(claims, tmp_path, text):
    path = tmp_path / "claims.jsonl"
    path.write_text(f"\n{text}\n")
    with pytest.raises(kseg.errors.SettingsError, match="line 2: not a run or test"):
        claims.runs.Results(path)


def test_scores_on_other_images_are_not_compared(claims):
    """Two seeds scored on all images, and more seeds of one variant on eight."""
    claim, lines = claims.claimed.HEADS[0], []
    for variant, offset in ((claim.better, 0.1), (claim.worse, 0.0)):
        for seed in (0, 1):
            lines.append({"variant": variant, "seed": seed, "mean_iou": 0.3 + offset * (1 + seed), "limit": None})
    lines += [{"variant": claim.better, "seed": seed, "mean_iou": 0.9, "limit": 8} for seed in (0, 1, 2)]
    lines = [{**line, "data": "camvid", "steps": 300} for line in lines]
    found, length = claims.page.interval_of(claim, lines, "camvid")
    assert (found.mean, found.count, length) == (pytest.approx(15), 2, (300, None))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "fcn33s", "--data", "camvid"], "--only fcn33s: none of camvid is called so; there are psp-"),
        (["--small"], "--small: give --out DIR too"),
        (["--page", "--merge", "none.jsonl"], "none.jsonl: there is no such file"),
        (["--out", __file__], "Not a directory"),
    ],
)
def test_mistakes_say_what_to_do(claims, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    tool = runpy.run_path(str(ROOT / "tools" / "claims.py"), run_name="tool")
    assert tool["main"](["--root", "nowhere", "--cache", "cache", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--seeds", "-1"], ["--steps", "0"], ["--limit", "0"], ["--threads", "-1"]])
def test_numbers_in_range(words):
    tool = runpy.run_path(str(ROOT / "tools" / "claims.py"), run_name="tool")
    with pytest.raises(SystemExit):
        tool["main"](["--root", "nowhere", "--cache", "cache", *words])


def test_interval_is_students(claims):
    stats = pytest.importorskip("scipy.stats")
    values = [1.2, -0.3, 0.9, 2.1, 0.4]
    found = claims.intervals.paired(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)
    two_sided, power = stats.t.ppf([0.975, 0.8], 4)
    assert found.detectable == pytest.approx((two_sided + power) * stats.sem(values), abs=2e-3)
    for freedom, (wide, narrow) in enumerate(zip(claims.intervals.STUDENT, claims.intervals.POWER, strict=True), 1):
        assert (wide, narrow) == pytest.approx(tuple(stats.t.ppf([0.975, 0.8], freedom)), abs=1e-3)
    assert claims.intervals.paired([1.0]) is None


def test_bootstrap_of_equal_predictions_is_zero_and_of_better_ones_above(claims):
    rng = np.random.default_rng(1)
    worse = rng.integers(0, 50, (20, 3, 3))
    better = worse + 200 * np.eye(3, dtype=np.int64)
    assert claims.intervals.bootstrap(worse, worse) == (0, 0, 0)
    difference, low, high = claims.intervals.bootstrap(better, worse)
    sums = [np.diag(m.sum(0)) / (m.sum(0).sum(0) + m.sum(0).sum(1) - np.diag(m.sum(0))) for m in (better, worse)]
    assert difference == pytest.approx(sums[0].mean() - sums[1].mean())
    assert 0 < low < difference < high


def test_verdicts(claims):
    gain, none = claims.claimed.HEADS[0], claims.claimed.HEADS[-1]
    assert (gain.gain, none.gain) == (True, False)
    words = {(low, high): claims.page.verdict(gain, low, high) for low, high in ((1, 2), (-1, 1), (-2, -1))}
    assert list(words.values()) == ["shown", "within noise", "reversed"]
    said = [claims.page.verdict(none, *ends) for ends in ((1, 2), (-1, 0.5), (-1, 3), (-2, -1))]
    assert said == ["reversed", "shown", "within noise", "shown"]


def test_every_claim_is_about_something_that_is_run(claims):
    keys = [variant.key for variant in claims.heads.VARIANTS]
    assert len(set(keys)) == len(keys)
    assert {key for claim in claims.claimed.HEADS for key in (claim.better, claim.worse)} == set(keys)
    whole = [variant.key for variant in claims.whole.VARIANTS]
    assert len(set(whole)) == len(whole)
    named = "|".join(f"{claim.better}|{claim.worse}" for claim in claims.claimed.WHOLE).split("|")
    members = [key for scored in claims.whole.SCORED for key in scored.members]
    assert {*named, *members} == set(whole)
    assert {claim.test for claim in claims.claimed.TESTS} == {test.key for test in claims.protocols.TESTS}
    assert len(claims.claimed.HEADS) + len(claims.claimed.TESTS) >= 14


@pytest.mark.realdata
def test_small_form(claims, real_data, tmp_path):
    """A cache, four heads and two networks with two seeds, a test, and the page; a second start runs nothing."""
    tool = runpy.run_path(str(ROOT / "tools" / "claims.py"), run_name="tool")
    out = tmp_path / "out"
    command = ["--root", str(real_data), "--cache", str(tmp_path / "cache"), "--out", str(out), "--small"]
    assert tool["main"](command) == 0
    lines = (out / "results" / "claims.jsonl").read_text().splitlines()
    assert len(lines) == 4 * 2 + 2 * 2 + 1
    page = (out / "results" / "claims.md").read_text()
    assert "| 16s above 32s |" in page
    assert "| mirrored above single |" in page
    assert "| the whole network trained above a frozen backbone |" in page
    assert (out / "images" / "claims_camvid.png").is_file()
    assert tool["main"](command) == 0
    assert (out / "results" / "claims.jsonl").read_text().splitlines() == lines
    assert sys.modules["claims"].__path__  # the package, not the program beside it
