"""What is said while a model trains."""

import io

from kseg.training import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


LOGS = {"loss": 0.5, "mean_iou": 0.25, "val_loss": 0.75, "val_mean_iou": 0.125}


def test_one_line_an_epoch_in_a_file(model):
    stream = io.StringIO()
    progress = Progress(3, steps=2, stream=stream, best=lambda: 0.125)
    progress.set_model(model)
    progress.on_epoch_begin(0)
    progress.on_train_batch_end(0, LOGS)
    progress.on_epoch_end(0, LOGS)
    progress.on_epoch_begin(1)
    progress.on_epoch_end(1, {**LOGS, "val_mean_iou": 0.1})
    first, second = stream.getvalue().splitlines()
    assert first.startswith(
        "epoch 1/3  loss 0.5000  mean IoU 0.2500  val loss 0.7500  val mean IoU 0.1250 (best)"
    )
    assert "(best)" not in second
    assert "\x1b" not in stream.getvalue()


def test_steps_on_a_terminal(model):
    stream = Terminal()
    progress = Progress(3, steps=4, stream=stream)
    progress.set_model(model)
    progress.on_epoch_begin(0)
    progress.on_train_batch_end(1, LOGS)
    assert "2/4" in stream.getvalue()
    assert "[##########          ]" in stream.getvalue()
