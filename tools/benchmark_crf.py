"""Speed and memory of the dense CRF: measurements of tools/benchmark.py.

    python tools/benchmark.py crf         DenseCRF against pydensecrf at 500x375 pixels, 21 classes, 10 iterations
    python tools/benchmark.py crf_error   the lattice's filter against the exact sum, on a small image
    python tools/benchmark.py crf_growth  its time and peak memory from 0.1 to 4 megapixels, each in its own process
    python tools/benchmark.py crf_sizes   labels, probabilities and memory beside pydensecrf and the estimate, 0.1 to 8
                                          megapixels at 2 and 21 classes; 8 GB
    python tools/benchmark.py crf_device  KSEG_DEVICE (gpu:0) through Keras's backend against the processor

The reference is PyPI's pydensecrf2 (needs a compiler); without it only DenseCRF's own time is printed.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measuring import figures, forget_peak, in_turns, peak_mebibytes, say

HEIGHT, WIDTH, CLASSES, ITERATIONS = 375, 500, 21, 10
MEGAPIXELS = (0.1, 0.5, 1.0, 2.0, 4.0)


def photograph(height: int, width: int) -> np.ndarray:
    """A photograph of the images at hand, brought to this size; colours in soft blocks where there is none."""
    import cv2

    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KSEG_DATA", default)) / "voc_people/VOCdevkit/VOC2012/JPEGImages"
    found = sorted(folder.glob("*.jpg"))
    if found:
        image = cv2.imread(str(found[min(5, len(found) - 1)]))[..., ::-1]
    else:
        image = np.random.default_rng(0).integers(0, 256, (15, 20, 3)).astype(np.uint8)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def probabilities(height: int, width: int, present: int = CLASSES, classes: int = CLASSES) -> np.ndarray:
    """Soft probabilities of all classes; those beyond the first `present` are nowhere above 1e-4."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = rng.gamma(0.3, size=(12, 16, classes)).astype(np.float32) + np.float32(1e-3)
    soft = np.stack([cv2.resize(coarse[..., c], (width, height)) for c in range(classes)], axis=-1)
    soft[..., present:] = 0
    soft /= soft.sum(-1, keepdims=True)
    rare = np.full(soft.shape, 3e-5, np.float32) * (soft == 0)
    return (soft + rare) / (1 + rare.sum(-1, keepdims=True))


def reference(image: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The same CRF by pydensecrf."""
    import pydensecrf.densecrf as densecrf
    from pydensecrf.utils import unary_from_softmax

    height, width, classes = soft.shape
    crf = densecrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(unary_from_softmax(np.ascontiguousarray(soft.transpose(2, 0, 1))))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=49, srgb=5, rgbim=np.ascontiguousarray(image), compat=4)
    return np.array(crf.inference(ITERATIONS)).reshape(classes, height, width).transpose(1, 2, 0)


def crf_speed(rounds: int = 5, height: int = HEIGHT, width: int = WIDTH) -> None:
    """DenseCRF and pydensecrf in turns, with all classes present and with four of them."""
    import kseg

    crf, image = kseg.inference.DenseCRF(iterations=ITERATIONS), photograph(height, width)
    print(f"dense CRF ({width}x{height}, {CLASSES} classes, {ITERATIONS} iterations)")
    for present in (CLASSES, 4):
        soft = probabilities(height, width, present)
        runs = {"DenseCRF": lambda soft=soft: crf(image, soft)}
        if _has_reference():
            runs["pydensecrf"] = lambda soft=soft: reference(image, soft)
        times = in_turns(runs, rounds)
        said = ", ".join(
            f"{name} {wall:.3f} s ({cpu:.3f} s of processor)" for name, (wall, cpu) in times.items()
        )
        print(f"  {present} classes present: {said}")
        if _has_reference():
            ours, theirs = crf(image, soft), reference(image, soft)
            same, off = (ours.argmax(-1) == theirs.argmax(-1)).mean(), np.abs(ours - theirs).max()
            print(
                f"    ratio {times['pydensecrf'][0] / times['DenseCRF'][0]:.2f} (1 or more is wanted, 3 the aim)"
            )
            print(f"    equal labels {same:.4%}, largest difference {off:.1e}")


def crf_error(height: int = 48, width: int = 64) -> None:
    """How far the lattice's weighted averages are from the exact sum over all pairs, on a small photograph."""
    from kseg.inference.crf.permutohedral import PermutohedralLattice

    image, soft = photograph(height, width), probabilities(height, width)
    y, x = np.mgrid[:height, :width]
    values = np.concatenate([soft.reshape(-1, CLASSES), np.ones((height * width, 1))], axis=1).astype(
        np.float32
    )
    print(f"filter of the dense CRF against the exact sum ({width}x{height}, {CLASSES} classes)")
    for reach, grey in ((49, 5), (15, 3), (15, 30)):
        features = np.concatenate([np.stack([x, y], -1) / reach, image / grey], -1).reshape(-1, 5)
        features = features.astype(np.float32)
        squares = (features.astype(np.float64) ** 2).sum(-1)
        apart = squares[:, None] + squares[None] - 2 * features.astype(np.float64) @ features.T
        exact = np.exp(-0.5 * np.maximum(apart, 0)) @ values
        ours = PermutohedralLattice(features).filter(values)
        ours, exact = (sums[:, :-1] / sums[:, -1:] for sums in (ours, exact))
        off = np.abs(ours - exact)
        print(
            f"  {reach} pixels, {grey} grey levels: mean {off.mean():.4f}, 99 of 100 within "
            f"{np.percentile(off, 99):.4f}, largest {off.max():.4f} (probabilities)"
        )


def crf_growth(sizes: tuple[float, ...] = MEGAPIXELS) -> None:
    """Time of the second call and peak memory of a process that makes two, as images grow."""
    import kseg

    print(f"dense CRF as images grow ({CLASSES} classes, {ITERATIONS} iterations)")
    for megapixels in sizes:
        height, width = size_of(megapixels)
        seconds, before, peak = figures(__file__, str(height), str(width))
        estimate = kseg.inference.DenseCRF().memory(height, width, CLASSES) / 2**20
        print(
            f"  {megapixels:.1f} megapixels ({width}x{height}): {seconds:.2f} s, {peak - before:.0f} MiB, "
            f"estimate {estimate:.0f} MiB"
        )


def crf_sizes(
    sizes: tuple[float, ...] = (0.1, 0.5, 2.0, 8.0), classes: tuple[int, ...] = (2, CLASSES)
) -> None:
    """Labels and probabilities beside pydensecrf's and memory beside the estimate, each size in its own process."""
    print(
        f"dense CRF beside pydensecrf as images grow ({ITERATIONS} iterations; a photograph with a sensor's noise)"
    )
    for megapixels in sizes:
        for count in classes:
            height, width = size_of(megapixels)
            same, off, used, vertices = figures(__file__, "beside", str(height), str(width), str(count))
            estimate = _estimate(height, width, count)
            print(
                f"  {megapixels:.1f} megapixels ({width}x{height}), {count} classes: equal labels {same:.4%}, largest "
                f"difference {off:.1e}; {used:.0f} MiB, estimate {estimate:.0f} MiB ({estimate / used - 1:+.0%}); "
                f"{vertices:.2f} vertices a pixel",
                flush=True,
            )


def crf_device(rounds: int = 5, sizes: tuple[float, ...] = (0.1875, 2.0, 8.0)) -> None:
    """`DenseCRF(device=)` and the processor's program in turns, and pydensecrf where it is there."""
    import keras

    import kseg

    device = os.environ.get("KSEG_DEVICE", "gpu:0")
    try:
        runs_on = kseg.inference.DenseCRF(iterations=ITERATIONS, device=device)
    except kseg.errors.SettingsError as error:
        print(f"dense CRF on {device}: not measured. {error}")
        return
    print(
        f"dense CRF on {device}, Keras on {keras.backend.backend()}, against the processor ({ITERATIONS} iterations)"
    )
    here = kseg.inference.DenseCRF(iterations=ITERATIONS)
    for megapixels in sizes:
        height, width = size_of(megapixels)
        image = noisy(photograph(height, width))
        for classes in (2, CLASSES):
            soft = probabilities(height, width, classes, classes)
            runs = {
                device: lambda i=image, s=soft: runs_on(i, s),
                "processor": lambda i=image, s=soft: here(i, s),
            }
            if _has_reference():
                runs["pydensecrf"] = lambda i=image, s=soft: reference(i, s)
            times = in_turns(runs, rounds)
            ours, expected = runs[device](), runs[list(runs)[-1]]()
            print(
                f"  {width}x{height}, {classes} classes: "
                + ", ".join(f"{name} {wall:.3f} s" for name, (wall, _) in times.items())
                + f"; equal labels {(ours.argmax(-1) == expected.argmax(-1)).mean():.4%}, largest difference "
                f"{np.abs(ours - expected).max():.1e}"
            )


def noisy(image: np.ndarray, deviation: float = 2.0) -> np.ndarray:
    """An upsampled photograph with the noise that a camera of so many pixels has."""
    noise = np.random.default_rng(0).normal(0, deviation, image.shape).astype(np.float32)
    return (image + noise).clip(0, 255).astype(np.uint8)


def size_of(megapixels: float) -> tuple[int, int]:
    """(height, width) of so many pixels, 3 to 4."""
    height = round((0.75e6 * megapixels) ** 0.5)
    return height, round(1e6 * megapixels / height)


def _has_reference() -> bool:
    import importlib.util

    return importlib.util.find_spec("pydensecrf") is not None


def _one_size(height: int, width: int) -> None:
    """Seconds of a second call, and mebibytes before and at the peak."""
    import kseg

    image, soft = photograph(height, width), probabilities(height, width)
    crf = kseg.inference.DenseCRF(iterations=ITERATIONS)
    crf(image[:16, :16], np.ascontiguousarray(soft[:16, :16]))  # TensorFlow's own start is not the image's
    before = forget_peak()
    crf(image, soft)
    start = time.perf_counter()
    crf(image, soft)
    say(time.perf_counter() - start, before, peak_mebibytes())


def _estimate(height: int, width: int, classes: int) -> float:
    """Mebibytes that kseg expects a call to take."""
    import kseg

    return kseg.inference.DenseCRF().memory(height, width, classes) / 2**20


def _beside(height: int, width: int, classes: int) -> None:
    """Share of labels as pydensecrf's, largest difference, mebibytes of a call, vertices a pixel."""
    import kseg
    from kseg.inference.crf import kernels

    image, soft = noisy(photograph(height, width)), probabilities(height, width, classes, classes)
    crf = kseg.inference.DenseCRF(iterations=ITERATIONS)
    crf(image[:16, :16], np.ascontiguousarray(soft[:16, :16]))  # TensorFlow's own start is not the image's
    vertices, lattice = [], kernels.PermutohedralLattice

    def counted(features: np.ndarray) -> object:
        made = lattice(features)
        vertices.append(made.vertices)
        return made

    kernels.PermutohedralLattice = counted
    before = forget_peak()
    ours = crf(image, soft)
    used = peak_mebibytes() - before
    labels = ours.argmax(-1)
    theirs = reference(image, soft)
    same = (labels == theirs.argmax(-1)).mean()
    theirs -= ours
    say(same, np.abs(theirs, out=theirs).max(), used, vertices[-1] / height / width)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.argv[1] == "beside":
        _beside(*map(int, sys.argv[2:]))
    else:
        _one_size(*map(int, sys.argv[1:]))
