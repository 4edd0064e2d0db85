"""`ResizeLike`: resize a map to another tensor's height and width."""

from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.errors import SettingsError
from kseg.layers.resizing.scaled_image import scaled
from kseg.ops.resize import METHODS, resize, same_size, spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class ResizeLike(keras.layers.Layer):
    """Resizes the first tensor to the height and width of the second, whatever they are at run time.

    Unlike `keras.layers.Resizing` and `UpSampling2D` it traces and exports with unknown sizes. The four ways of
    upsampling class scores that segmentation networks were published with:

    - `ResizeLike()`: the half-pixel rule, by the ratio of the sizes (torchvision, mmsegmentation).
    - `ResizeLike(align_corners=True)`: first and last cell over the first and last pixel (Caffe's Interp,
      segmentation_models.pytorch, TensorFlow's DeepLab).
    - `ResizeLike(align_corners=True, factor=8)`: cell i over pixel 8 i, where networks with symmetric padding have
      it, and pixels beyond the last cell repeat it. On an image of 8 k + 1 pixels this is Caffe's Interp, as in the
      released DeepLab and PSPNet; on other sizes nothing is stretched. So `logits[:, ::8, ::8]` are the map's own
      scores, on which DeepLab v1 puts its loss.
    - `ResizeLike(factor=8)`: cell i over the pixels from 8 i on, where networks with "same" padding have it.

    Args:
        method: "bilinear" or "nearest".
        align_corners: False samples at pixel centres, True aligns the centres of the corner pixels.
        factor: upsample by exactly this much and crop what lies beyond the second tensor, rather than
            stretch; the map must be large enough. A fraction such as 16 / 3 upsamples to the nearest whole
            size, without `align_corners` only.
        **kwargs: `name` and `dtype` of a Keras layer.

    Raises:
        SettingsError: an unknown method, a factor below 1, or a fraction or "nearest" with aligned corners.

    Input shape:
        A list `[x, like]` of `(batch, h, w, channels)` and `(batch, height, width, any)`.

    Output shape:
        `(batch, height, width, channels)`, in the layer's compute dtype; use `dtype="float32"` for logits.

    Example:

    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> y = kseg.layers.ResizeLike(align_corners=True)([x, np.zeros((1, 3, 3, 1))])
    >>> np.asarray(y)[0, :, :, 0].tolist()
    [[0.0, 0.5, 1.0], [1.0, 1.5, 2.0], [2.0, 2.5, 3.0]]
    """

    def __init__(
        self,
        method: str = "bilinear",
        align_corners: bool = False,
        factor: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.method = checks.one_of(method, "method", METHODS)
        self.align_corners = checks.flag(align_corners, "align_corners")
        if factor is not None:
            factor = checks.number(factor, "factor", least=1)
            factor = int(factor) if factor == int(factor) else factor
        self.factor = factor
        if self.align_corners and (method != "bilinear" or isinstance(factor, float)):
            raise SettingsError(
                "`align_corners` needs method='bilinear' and a whole `factor` or none; got "
                f"method={method!r} and factor={factor!r}."
            )

    @property
    def cell_stride(self) -> int | None:
        """The factor, where cell i stands over pixel `factor * i`; else None."""
        return self.factor if self.align_corners else None

    def call(self, inputs):
        x, like = inputs
        height, width = spatial_shape(like)
        if self.factor is None:
            return resize(x, (height, width), self.method, self.align_corners)
        if self.align_corners:
            # As many cells as every pixel needs to lie between two. That may be one more row and column, copies of the
            # last, but no more than needed: of 150 classes, what is cropped from the result is a second result.
            rows, columns = ((length + self.factor - 2) // self.factor + 1 for length in (height, width))
            if not same_size(spatial_shape(x), (rows, columns)):
                x = ops.concatenate([x, x[:, -1:]], axis=1)[:, :rows]
                x = ops.concatenate([x, x[:, :, -1:]], axis=2)[:, :, :columns]
            size = tuple((cells - 1) * self.factor + 1 for cells in spatial_shape(x))
            x = resize(x, size, "bilinear", align_corners=True)
            return x if same_size(size, (height, width)) else x[:, :height, :width]
        whole = isinstance(self.factor, int)
        size = tuple(
            cells * self.factor if whole else scaled(cells, self.factor) for cells in spatial_shape(x)
        )
        x = resize(x, size, self.method)
        return x if same_size(size, (height, width)) else x[:, :height, :width]

    def positions(self, cells: Any, size: Any) -> Any:
        """Where each of `size` rows or columns of the result stands among the `cells` of the map.

        Args:
            cells: number of rows (or columns) of the map.
            size: number of rows (or columns) of the result.

        Returns:
            float32 tensor `(size,)`, in units of cells.
        """
        lines = ops.cast(ops.arange(size), "float32")
        if self.factor is not None:
            return lines / self.factor if self.align_corners else (lines + 0.5) / self.factor - 0.5
        cells, size = ops.cast(cells, "float32"), ops.cast(size, "float32")
        if self.align_corners:
            return lines * ((cells - 1) / ops.maximum(size - 1, 1.0))
        return (lines + 0.5) * (cells / size) - 0.5

    def compute_output_spec(self, inputs):
        x, like = inputs
        return keras.KerasTensor((x.shape[0], *like.shape[1:3], x.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "method": self.method,
            "align_corners": self.align_corners,
            "factor": self.factor,
        }
