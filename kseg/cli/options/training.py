"""Options of `kseg train` that change a recipe, and those for faults and devices."""

from typing import Any

from kseg.cli.options.arguments import above_zero, add_max_pixels, fraction, natural, positive


def add_settings(group: Any) -> None:
    group.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="any setting of the recipe, such as momentum=0.8, augment.rotate=5 or size=null; may be repeated",
    )
    group.add_argument(
        "--loss",
        metavar="NAME",
        help="cross_entropy (default), dice, jaccard, tversky, focal, lovasz, boundary_cross_entropy, a sum such as "
        "'focal + 0.5 * dice', or one's own, FILE.py:NAME",
    )
    group.add_argument("--epochs", type=positive)
    group.add_argument("--steps-per-epoch", type=positive, metavar="N", help="default: once through the data")
    group.add_argument("--batch-size", type=positive, metavar="N")
    group.add_argument("--size", type=positive, nargs=2, metavar=("H", "W"), help="of the crops, in pixels")
    group.add_argument("--seed", type=natural)
    group.add_argument(
        "--deterministic", action="store_true", default=None, help="bit-equal repetition; slower"
    )
    group.add_argument("--learning-rate", type=above_zero, metavar="R", help="the highest")
    group.add_argument("--freeze-backbone", action="store_true", default=None, help="train the head only")
    group.add_argument(
        "--freeze-normalization",
        choices=("single_value", "all"),
        help="batch normalisation that keeps its statistics: where a batch of one image leaves it one value, or all",
    )
    group.add_argument(
        "--mixed-precision",
        nargs="?",
        const="mixed_float16",
        choices=("mixed_float16", "mixed_bfloat16"),
        help="default without a value: mixed_float16",
    )
    group.add_argument("--validate-every", type=positive, metavar="N", help="epochs between validations")
    group.add_argument(
        "--accumulate",
        type=positive,
        metavar="N",
        help="batches that make one step, as one batch of them would",
    )
    group.add_argument(
        "--ema",
        type=fraction,
        metavar="D",
        help="validate and keep moving averages of the weights, such as 0.999",
    )


def add_losses(group: Any) -> None:
    group.add_argument(
        "--class-weights",
        nargs="+",
        metavar="W",
        help="median_frequency; a number a class; or CLASS=NUMBER (id or name; 1 for the others)",
    )
    group.add_argument(
        "--ohem", type=fraction, metavar="F", help="train on this part of the pixels, the hardest"
    )
    group.add_argument(
        "--sampling",
        type=fraction,
        metavar="F",
        help="compute the loss on this part of the pixels, drawn anew each step, with 1/F as many images",
    )
    group.add_argument(
        "--label-stride",
        type=positive,
        metavar="N",
        help="on every Nth label in both directions (DeepLab: 8)",
    )
    group.add_argument(
        "--input-scales",
        type=above_zero,
        nargs="+",
        metavar="S",
        help="on the image at each of these scales and on their maximum (DeepLab v2: 0.5 0.75 1)",
    )
    group.add_argument(
        "--auxiliary-weight", type=above_zero, metavar="W", help="on a second head of PSPNet, times W (0.4)"
    )


def add_teacher(group: Any) -> None:
    group.add_argument(
        "--teacher",
        metavar="M",
        help="another model to learn from: a .keras, .tflite or .onnx file, or a preset's name",
    )
    group.add_argument(
        "--teacher-weight",
        type=fraction,
        metavar="A",
        help="its part of the loss, the labels' is 1 - A (default: 0.5)",
    )
    group.add_argument(
        "--teacher-classes",
        nargs="+",
        metavar="CLASS=THEIRS",
        help="which of the teacher's classes, by name or number, is which of the data's: person=15; the others are "
        "the first class (default: by their names, or in their order)",
    )
    group.add_argument(
        "--unlabelled", metavar="DIR", help="a folder of images without masks, which the teacher alone explains"
    )


def add_safety(group: Any) -> None:
    add_max_pixels(group)
    group.add_argument(
        "--checkpoint-every", metavar="N|Nm", help="write last.keras also every N steps, or N minutes (10m)"
    )
    group.add_argument(
        "--keep", type=positive, default=1, metavar="K", help="last checkpoints to keep (default: 1)"
    )
    group.add_argument(
        "--skip-bad", action="store_true", help="skip images that cannot be used, up to 1 %% of them"
    )
    group.add_argument(
        "--strategy",
        choices=("none", "mirrored", "multiworker"),
        default="none",
        help="one device; all GPUs of this machine; the machines in TF_CONFIG",
    )
    group.add_argument("--devices", type=positive, metavar="N", help="how many devices mirrored takes")
