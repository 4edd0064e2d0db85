"""semseg's PSPNet, told again in PyTorch: its deep stem, strides in 3x3, whole stages dilated, aligned corners."""

import numpy as np
import pytest

from kseg.weights import identify, import_weights
from tests.weights.layouts.conftest import (
    assert_same_logits,
    assert_same_state,
    image_of,
    randomised,
    resnet_state,
    score_state,
    torch_input,
    torch_logits,
    unit_state,
)


def pspnet(classes, blocks=6):
    """The network of semseg's model/pspnet.py and model/resnet.py (zoom factor 8), with its keys.

    Its fourth stage has 6 blocks with 50 layers, and 23 with 101.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    def unit(inputs, outputs, side, **settings):
        return nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False, **settings), nn.BatchNorm2d(
            outputs
        )

    class Bottleneck(nn.Module):
        def __init__(self, inputs, width, stride, rate, project):
            super().__init__()
            self.conv1, self.bn1 = unit(inputs, width, 1)
            self.conv2, self.bn2 = (
                nn.Conv2d(width, width, 3, stride, rate, rate, bias=False),
                nn.BatchNorm2d(width),
            )
            self.conv3, self.bn3 = unit(width, 4 * width, 1)
            self.downsample = nn.Sequential(*unit(inputs, 4 * width, 1, stride=stride)) if project else None

        def forward(self, x):
            y = functional.relu(self.bn1(self.conv1(x)))
            y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
            return functional.relu(y + (x if self.downsample is None else self.downsample(x)))

    def stage(inputs, width, count, stride=1, rate=1):
        blocks = [Bottleneck(inputs, width, stride, rate, True)]
        return nn.Sequential(
            *blocks, *(Bottleneck(4 * width, width, 1, rate, False) for _ in range(count - 1))
        )

    class PPM(nn.Module):
        def __init__(self):
            super().__init__()
            levels = [
                nn.Sequential(nn.AdaptiveAvgPool2d(b), *unit(2048, 512, 1), nn.ReLU()) for b in (1, 2, 3, 6)
            ]
            self.features = nn.ModuleList(levels)

        def forward(self, x):
            size = x.shape[2:]
            levels = [
                functional.interpolate(f(x), size, mode="bilinear", align_corners=True) for f in self.features
            ]
            return torch.cat([x, *levels], 1)

    class PSPNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer0 = nn.Sequential(
                *unit(3, 64, 3, stride=2), nn.ReLU(), *unit(64, 64, 3), nn.ReLU(), *unit(64, 128, 3), nn.ReLU(),
                nn.MaxPool2d(3, 2, 1),
            )  # fmt: skip
            self.layer1, self.layer2 = stage(128, 64, 3), stage(256, 128, 4, 2)
            self.layer3, self.layer4 = stage(512, 256, blocks, 1, 2), stage(1024, 512, 3, 1, 4)
            self.ppm = PPM()
            self.cls = nn.Sequential(
                *unit(4096, 512, 3), nn.ReLU(), nn.Dropout2d(0.1), nn.Conv2d(512, classes, 1)
            )
            self.aux = nn.Sequential(
                *unit(1024, 256, 3), nn.ReLU(), nn.Dropout2d(0.1), nn.Conv2d(256, classes, 1)
            )

        def forward(self, x):
            y = self.layer4(self.layer3(self.layer2(self.layer1(self.layer0(x)))))
            return functional.interpolate(
                self.cls(self.ppm(y)), x.shape[2:], mode="bilinear", align_corners=True
            )

    return PSPNet()


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("new", "blocks"), [(True, 6), (False, 6), (True, 23)])
def test_against_pytorch(new, blocks, folder):
    """On 97x121, sizes of 8 k + 1, as are all that the release works on; wrapped as its training saves."""
    torch = pytest.importorskip("torch")
    net, image = randomised(pspnet(7, blocks)), image_of(97, 121)
    state = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in net.state_dict().items()}}
    torch.save(state, folder / "net.pth", _use_new_zipfile_serialization=new)
    found = import_weights(folder / "net.pth")
    assert found.source == "semseg/pspnet"
    assert all(key.startswith("aux.") or key.endswith("num_batches_tracked") for key in found.unused)
    assert_same_state(found, net)
    with torch.no_grad():
        assert_same_logits(found.model, image, torch_logits(net(torch_input(image))))


def narrow_state(classes=3, width=4):
    """semseg's keys on a ResNet-18 of few channels; `width` of the levels and of the head."""
    rng, found = np.random.default_rng(0), resnet_state(18, "layer0")
    for level in range(4):
        found |= unit_state(rng, f"ppm.features.{level}.1", f"ppm.features.{level}.2", 32, width)
    found |= unit_state(rng, "cls.0", "cls.1", 32 + 4 * width, width, 3)
    return found | score_state(rng, "cls.4", width, classes) | score_state(rng, "aux.4", width, classes)


def test_levels_go_to_their_bins(folder):
    arrays = narrow_state()
    np.savez(folder / "net.npz", **arrays)
    assert identify(arrays) == "semseg/pspnet"
    found = import_weights(folder / "net.npz")
    assert found.unused == ("aux.4.weight", "aux.4.bias")
    assert found.model.backbone.depth == 18
    assert (found.model.num_classes, found.model.filters) == (3, 4)
    pyramid = found.model.get_layer("pyramid")
    for level, convolution in enumerate(pyramid.convolutions):
        expected = arrays[f"ppm.features.{level}.1.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(convolution.kernel, expected)
