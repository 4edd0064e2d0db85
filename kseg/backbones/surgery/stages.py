"""`choose_stages`: which feature maps of a classifier are its stages."""

import keras
from keras import layers

from kseg.backbones.surgery.dilation import Step
from kseg.errors import ModelError
from kseg.layers import ResizeLike

RULES = ("main", "last")


def choose_stages(
    steps: list[Step], name: str, rule: str, output_stride: int, like: keras.KerasTensor | None
) -> dict[str, keras.KerasTensor]:
    """The stages of a dilated graph, shallow first; `kseg.backbones.from_classifier` has the rules.

    Args:
        steps: of a `Dilation`, in graph order.
        name: of the classifier, for messages.
        rule: "main" or "last".
        output_stride: pixels from one cell of the deepest stage to the next.
        like: the image, filled up to a multiple of the strides, whose cells maps of other sizes are resized to; None
            leaves them.

    Raises:
        ModelError: strides that are not powers of two.
    """
    margins = (layers.ZeroPadding2D, layers.Cropping2D)
    maps = {
        number: step
        for number, step in enumerate(steps)
        if step.grid is not None and step.grid.stride > 1 and not isinstance(step.operation, margins)
    }
    if rule == "main":
        chosen = _main(steps, maps)
    else:  # maps with a margin of their own count where there is no other
        chosen = {step.grid.stride: step for step in maps.values()}
        chosen.update({step.grid.stride: step for step in maps.values() if step.grid.excess == (0, 0)})
    odd = [stride for stride in chosen if stride & (stride - 1)]
    if odd or not chosen:
        raise ModelError(f"{name} has strides {sorted(chosen)}; stages need powers of two.")
    stages = {}
    for stride in sorted(chosen):
        stage, step = f"stage{stride.bit_length() - 1}", chosen[stride]
        tensor, cells = step.tensor, min(stride, output_stride)
        if like is not None and step.grid.excess != (0, 0):
            tensor = ResizeLike(name=f"{stage}_resized")([tensor, like[:, ::cells, ::cells]])
        stages[stage] = tensor
    return stages


def _main(steps: list[Step], maps: dict[int, Step]) -> dict[int, Step]:
    """At each stride the last map that the rest is computed from alone, or one after it with more channels."""
    last_use = {used: number for number, step in enumerate(steps) for used in step.inputs}
    made = {id(step.tensor) for step in steps}
    reach = max(number for used, number in last_use.items() if used not in made)  # of the image's last use
    chosen = {}
    for number, step in enumerate(steps):
        alone = reach <= number  # no later step takes an earlier tensor
        reach = max(reach, last_use.get(id(step.tensor), 0))
        if number not in maps:
            continue
        stride, channels = step.grid.stride, step.tensor.shape[-1]
        if alone or stride not in chosen or channels >= chosen[stride].tensor.shape[-1]:
            chosen[stride] = step
    return chosen
