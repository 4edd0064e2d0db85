"""Inverted residual blocks, which MobileNetV2 and EfficientNet-Lite are made of."""

from keras import layers

from kseg.backbones.blocks.inverted_residual import fan_out_initializer
from kseg.layers import BatchNormalization, Conv2D, DepthwiseConv2D

# the last activation before each stride, where groups 2, 3, 4 and 6 stride
LITE_STAGES = {
    "stage1": "block2a_expand",
    "stage2": "block3a_expand",
    "stage3": "block4a_expand",
    "stage4": "block6a_expand",
}


def inverted_residuals(x, groups, output_stride, last):
    """Groups of inverted residual blocks, named `block1a`, `block1b`, ... (Sandler et al., MobileNetV2, CVPR 2018).

    Args:
        x: feature map at stride 2.
        groups: (repeats, kernel, stride of the first block, expansion, filters) of each group.
        output_stride: strides beyond it become dilation.
        last: name of the expanded activation to end at, such as "block6a_expand"; None builds every block.

    Returns:
        The last map, and a dict of every expanded activation by its layer's name.
    """
    stride, dilation, found = 2, 1, {}
    for group, (repeats, kernel, first_stride, expansion, filters) in enumerate(groups):
        for index in range(repeats):
            name = f"block{group + 1}{chr(ord('a') + index)}"
            strides = first_stride if index == 0 else 1
            if f"{name}_expand" == last:
                found[last] = conv_bn(x, x.shape[-1] * expansion, 1, last)
                return found[last], found
            hole = strides > 1 and stride == output_stride
            x, expanded = _block(x, filters, kernel, strides, expansion, dilation, hole, name)
            found[f"{name}_expand"] = expanded
            dilation, stride = (dilation * 2, stride) if hole else (dilation, stride * strides)
    return x, found


def _block(x, filters, kernel, strides, expansion, dilation, hole, name):
    """Inverted residual: expand 1x1, depthwise k x k, project 1x1; ``hole`` dilates instead of striding."""
    inputs = x
    if expansion > 1:
        x = conv_bn(x, x.shape[-1] * expansion, 1, f"{name}_expand")
    expanded = x
    if hole:
        # a strided SAME convolution on an even size pads (k - 2) // 2 before: keep the same pixels under it
        before = dilation * ((kernel - 2) // 2)
        after = dilation * (kernel - 1) - before
        x = layers.ZeroPadding2D(((before, after), (before, after)), name=f"{name}_dwconv_pad")(x)
    x = DepthwiseConv2D(
        kernel,
        strides=1 if hole else strides,
        padding="valid" if hole else "same",
        dilation_rate=dilation,
        use_bias=False,
        depthwise_initializer=fan_out_initializer(),
        name=f"{name}_dwconv",
    )(x)
    x = layers.ReLU(max_value=6, name=f"{name}_dwconv_relu")(_batch_norm(x, f"{name}_dwconv_bn"))
    x = conv_bn(x, filters, 1, f"{name}_project", activation=False)
    if strides == 1 and inputs.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x, expanded


def conv_bn(x, filters, kernel, name, strides=1, activation=True):
    """Convolution ``<name>_conv``, normalisation ``<name>_bn`` and ReLU6 ``<name>``."""
    x = Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=fan_out_initializer(),
        name=f"{name}_conv",
    )(x)
    x = _batch_norm(x, f"{name}_bn")
    return layers.ReLU(max_value=6, name=name)(x) if activation else x


def _batch_norm(x, name):
    return BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)
