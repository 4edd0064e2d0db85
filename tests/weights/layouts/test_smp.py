"""segmentation_models.pytorch's networks, against that package."""

import pytest

from kseg.weights import import_weights
from tests.weights.layouts.conftest import (
    assert_same_logits,
    assert_same_state,
    image_of,
    randomised,
    torch_input,
    torch_logits,
)

CASES = [
    ("DeepLabV3", "resnet50", 8, (104, 120)),
    ("DeepLabV3", "resnet18", 8, (96, 128)),
    ("DeepLabV3Plus", "resnet34", 16, (112, 144)),
    ("DeepLabV3Plus", "resnet50", 16, (96, 128)),
]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoder", "stride", "size"), CASES)
def test_against_smp(name, encoder, stride, size, needs, folder):
    """On sizes that its decoders take: multiples of the output stride."""
    needs("torchvision")
    torch, smp = needs("torch"), needs("segmentation_models_pytorch")
    net = randomised(getattr(smp, name)(encoder, encoder_weights=None, classes=5))
    torch.save(net.state_dict(), folder / "net.pth")
    found, image = import_weights(folder / "net.pth"), image_of(*size)
    assert found.source == f"smp/{name.lower()}"
    assert found.model.backbone.output_stride == stride
    assert_same_state(found, net)
    with torch.no_grad():
        assert_same_logits(found.model, image, torch_logits(net(torch_input(image))))
