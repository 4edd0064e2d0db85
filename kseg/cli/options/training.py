"""Options of `kseg train` that change a recipe, and those for faults and devices."""

from typing import Any

from kseg.cli.options.arguments import above_zero, add_max_pixels, fraction, natural, positive


def add_settings(group: Any) -> None:
    group.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="change any setting of the recipe, such as momentum=0.8, augment.rotate=5 or size=null; "
        "may be repeated",
    )
    group.add_argument(
        "--loss",
        metavar="NAME",
        help="cross_entropy (default), dice, jaccard, tversky, focal, lovasz, boundary_cross_entropy, "
        "a sum such as 'focal + 0.5 * dice', or your own loss as FILE.py:NAME",
    )
    group.add_argument("--epochs", type=positive)
    group.add_argument(
        "--steps-per-epoch",
        type=positive,
        metavar="N",
        help="steps in an epoch (default: once through the data)",
    )
    group.add_argument("--batch-size", type=positive, metavar="N")
    group.add_argument(
        "--size",
        type=positive,
        nargs=2,
        metavar=("H", "W"),
        help="height and width of the training crops in pixels",
    )
    group.add_argument("--seed", type=natural)
    group.add_argument(
        "--learning-rate", type=above_zero, metavar="R", help="highest learning rate of the schedule"
    )
    group.add_argument("--validate-every", type=positive, metavar="N", help="validate every N epochs")


def add_weights(group: Any) -> None:
    group.add_argument("--freeze-backbone", action="store_true", default=None, help="train the head only")
    group.add_argument(
        "--freeze-normalization",
        choices=("single_value", "all"),
        help="freeze the statistics of batch normalisation: only in layers that see a single value "
        "per channel in a batch of one image, or in all",
    )
    group.add_argument(
        "--mixed-precision",
        nargs="?",
        const="mixed_float16",
        choices=("mixed_float16", "mixed_bfloat16"),
        help="train in mixed precision (without a value: mixed_float16)",
    )
    group.add_argument(
        "--remat",
        nargs="*",
        metavar="STAGE",
        help="save memory: compute these stages of the backbone (without a value: all) once more for their gradient, "
        "rather than keep their maps; same results, slower",
    )
    group.add_argument(
        "--accumulate",
        type=positive,
        metavar="N",
        help="accumulate the gradients of N batches in each step, as if they were one batch",
    )
    group.add_argument(
        "--ema",
        type=fraction,
        metavar="D",
        help="keep a moving average of the weights with this decay, such as 0.999, and validate and save it",
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        default=None,
        help="make runs with the same seed bit-equal; slower",
    )


def add_losses(group: Any) -> None:
    group.add_argument(
        "--class-weights",
        nargs="+",
        metavar="W",
        help="median_frequency, one number for each class, or CLASS=NUMBER by id or name (1 for the others)",
    )
    group.add_argument(
        "--ohem",
        type=fraction,
        metavar="F",
        help="train only on this share of the pixels, those with the highest loss",
    )
    group.add_argument(
        "--sampling",
        type=fraction,
        metavar="F",
        help="compute the loss on this share of the pixels, drawn at random in each step, with 1/F "
        "times as many images",
    )
    group.add_argument(
        "--label-stride",
        type=positive,
        metavar="N",
        help="compute the loss on every Nth label in both directions (DeepLab: 8)",
    )
    group.add_argument(
        "--input-scales",
        type=above_zero,
        nargs="+",
        metavar="S",
        help="compute the loss at each of these input scales and on their maximum (DeepLab v2: 0.5 0.75 1)",
    )
    group.add_argument(
        "--auxiliary-weight",
        type=above_zero,
        metavar="W",
        help="weight of the loss on PSPNet's auxiliary head (paper: 0.4)",
    )


def add_teacher(group: Any) -> None:
    group.add_argument(
        "--teacher",
        metavar="M",
        help="model to learn from: a .keras, .tflite or .onnx file, or the name of a preset",
    )
    group.add_argument(
        "--teacher-weight",
        type=fraction,
        metavar="A",
        help="weight of the teacher in the loss; the labels get 1 - A (default: 0.5)",
    )
    group.add_argument(
        "--teacher-classes",
        nargs="+",
        metavar="CLASS=THEIRS",
        help="match the teacher's classes to yours, by name or number, such as person=15; all others "
        "become the first class (default: matched by name, else by order)",
    )
    group.add_argument(
        "--unlabelled", metavar="DIR", help="folder of images without masks, which the teacher alone labels"
    )


def add_safety(group: Any) -> None:
    add_max_pixels(group)
    group.add_argument(
        "--checkpoint-every",
        metavar="N|Nm",
        help="also write last.keras every N steps, or every N minutes (such as 10m)",
    )
    group.add_argument(
        "--keep",
        type=positive,
        default=1,
        metavar="K",
        help="how many of the last checkpoints to keep (default: 1)",
    )
    group.add_argument(
        "--skip-bad", action="store_true", help="skip images that cannot be used, up to 1 %% of them"
    )
    group.add_argument(
        "--strategy",
        choices=("none", "mirrored", "multiworker"),
        default="none",
        help="none: one device; mirrored: all GPUs of this machine; multiworker: the machines in TF_CONFIG",
    )
    group.add_argument(
        "--devices", type=positive, metavar="N", help="number of devices for --strategy mirrored"
    )


def one_channel(train: Any) -> int:
    """1, the channels of a network that tells background and object; SettingsError for other classes."""
    from kseg.errors import SettingsError

    if train.num_classes != 2 or train.multilabel:
        kind = "classes that overlap" if train.multilabel else "classes"
        raise SettingsError(
            f"--one-channel is for two classes, background and object; {train.name} has {train.num_classes} {kind}"
        )
    return 1
