"""Joint augmentation of an image and its mask, a pure function of a seed: in TensorFlow where it is installed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kseg.data.plain.augment import MEAN_COLOUR, augmented
from kseg.errors import SettingsError
from kseg.io.bands import BYTES
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf

IGNORE_LABEL = 255
_LUMA = (0.299, 0.587, 0.114)
_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@dataclass(frozen=True)
class Augment:
    """Random changes of an image and its mask: `augment(image, label, size, seed)`.

    Mirror, scale, rotation, jitter and crop are one resampling: bilinear for the image, nearest for the
    mask, with the same geometry, so no class id is ever invented. What lies outside of the image becomes
    `MEAN_COLOUR` in the image and `ignore_label` in the mask. Then the colours change, then the blur. One
    scale factor serves both axes: shapes are never stretched. Shrinking does not smooth first; below about
    half size fine texture aliases.

    Args:
        scale: lowest and highest scale factor, drawn uniformly; 2 shows things twice as large.
        mirror: mirror left to right half of the time.
        rotate: largest rotation to either side, degrees.
        jitter: largest shift along each axis, pixels (FCN's "translating them up to 32 pixels").
        blur: largest standard deviation of a Gaussian blur, pixels; half of the images are blurred.
        brightness: colours are multiplied by a factor from `1 - brightness` to `1 + brightness`; one
            factor for all channels.
        contrast: the same for the distance from the image's mean grey; of other channels than RGB, from the mean of
            each channel.
        saturation: the same for the distance from the pixel's own grey; of RGB alone.
        hue: largest turn of the hue, as a part of the full circle (0 to 0.5), in YIQ's colour plane; of RGB alone.

    Call arguments:
        image: uint8 (H, W, 3), RGB; or of other channels and values. label: uint8 (H, W), or (H, W, classes).
        size: (height, width) of the result, cut out at random; None keeps the image's own size.
        seed: int tensor (2,). The same seed gives the same result.
        ignore_label: the id in the mask for what lies outside of the image.
        value_range: (lowest, highest) value of the image. What lies outside of an image that is not RGB becomes its
            middle.

    Returns:
        image uint8 (height, width, 3) and label uint8 (height, width); of another range of
            values float32. NumPy's where TensorFlow is not installed.

    Raises:
        SettingsError: a setting outside of its range.

    Example:

    >>> augment = kseg.data.Augment(mirror=True, scale=(0.5, 2.0))
    >>> image, label = np.zeros((40, 50, 3), "uint8"), np.zeros((40, 50), "uint8")
    >>> augment(image, label, (32, 32), [0, 0])[0].shape
    TensorShape([32, 32, 3])
    """

    scale: tuple[float, float] = (1.0, 1.0)
    mirror: bool = False
    rotate: float = 0.0
    jitter: float = 0.0
    blur: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        scale = tuple(self.scale) if isinstance(self.scale, (tuple, list)) else ()
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] < 100:
            raise SettingsError(f"scale is (lowest, highest) with 0 < lowest <= highest, got {self.scale!r}")
        object.__setattr__(self, "scale", scale)  # a list from JSON compares and hashes like a tuple
        limits = {
            "rotate": 180,
            "jitter": 10_000,
            "blur": 50,
            "brightness": 1,
            "contrast": 1,
            "saturation": 1,
            "hue": 0.5,
        }
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise SettingsError(f"{name} is from 0 to {limit}, got {getattr(self, name)!r}")

    @property
    def changes_colours(self) -> bool:
        return any((self.brightness, self.contrast, self.saturation, self.hue))

    def __call__(
        self,
        image: tf.Tensor,
        label: tf.Tensor,
        size: tuple[int, int] | None,
        seed: tf.Tensor,
        ignore_label: int = IGNORE_LABEL,
        value_range: tuple[float, float] = BYTES,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not tf.installed():
            return augmented(self, image, label, size, seed, ignore_label, value_range)
        draw = tf.random.stateless_uniform([13], seed)
        own_size = tf.shape(image)[:2]
        target = own_size if size is None else tf.constant(size, tf.int32)
        transform = self._transform(draw, own_size, target)
        flat = len(label.shape) == 2
        label = _resample(label[..., None] if flat else label, transform, target, "NEAREST", fill=ignore_label)
        label = label[..., 0] if flat else label
        channels = image.shape[-1]
        # The fourth channel tells how much of a pixel comes from inside of the image.
        image = tf.concat([image, tf.ones_like(image[..., :1])], axis=-1)
        image = _resample(tf.cast(image, tf.float32), transform, target, "BILINEAR", fill=0)
        rgb = (channels, tuple(value_range)) == (3, BYTES)
        image = self._recolour(draw, image) if rgb else self._rescale(draw, image, value_range)
        if self.blur:
            image = _blur(image, draw[10] * self.blur, draw[11] < 0.5, self.blur)
        image = tf.clip_by_value(image, *map(float, value_range))
        if tuple(value_range) == BYTES:
            image = tf.cast(tf.round(image), tf.uint8)
        shape = (None, None) if size is None else tuple(size)
        return tf.ensure_shape(image, (*shape, channels)), tf.ensure_shape(label, (*shape, *label.shape[2:]))

    def _transform(self, draw: tf.Tensor, own_size: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """The eight numbers of a projective transform from the result's pixels to the image's."""
        lowest, highest = self.scale
        factor = lowest + draw[0] * (highest - lowest)
        own_size, target = tf.cast(own_size, tf.float32), tf.cast(target, tf.float32)
        window = target / factor
        origin = tf.round((own_size - window) * draw[1:3])
        if self.jitter:
            origin += tf.round((2 * draw[3:5] - 1) * self.jitter)
        centre = origin + window / 2
        angle = (2 * draw[5] - 1) * (self.rotate * math.pi / 180)
        sine, cosine = tf.sin(angle) / factor, tf.cos(angle) / factor
        side = tf.where(draw[6] < 0.5, -1.0, 1.0) if self.mirror else tf.constant(1.0)
        (a, b), (c, d) = (side * cosine, -side * sine), (sine, cosine)  # x before y
        # It turns about the two centres. Those count from pixel edges, the op from pixel centres.
        x, y = target[1] / 2 - 0.5, target[0] / 2 - 0.5
        shift_x = centre[1] - 0.5 - a * x - b * y
        shift_y = centre[0] - 0.5 - c * x - d * y
        return tf.stack([a, b, shift_x, c, d, shift_y, 0.0, 0.0])

    def _recolour(self, draw: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        """Colour change and padding in one product with a 4x3 matrix.

        A change of colours is affine, so it may follow the resampling; the coverage channel carries its
        constant part and the padding's colour.
        """
        mean = tf.constant(MEAN_COLOUR)
        matrix, offset = tf.eye(3), tf.zeros(3)
        if self.changes_colours:
            brightness, contrast, saturation = (
                1 + (2 * draw[place] - 1) * amount
                for place, amount in ((7, self.brightness), (8, self.contrast), (9, self.saturation))
            )
            luma = tf.constant(_LUMA)
            total = tf.reduce_sum(image, axis=[0, 1])
            grey = tf.tensordot(total[:3], luma, 1) / tf.maximum(total[3], 1.0)
            # Both for pixels as rows: the colour mixed with its grey; and RGB to YIQ, a turn of the I-Q plane, back.
            mix = saturation * tf.eye(3) + (1 - saturation) * tf.tile(luma[:, None], [1, 3])
            angle = (2 * draw[12] - 1) * (self.hue * 2 * math.pi)
            sine, cosine = tf.sin(angle), tf.cos(angle)
            turn = tf.reshape(tf.stack([1.0, 0.0, 0.0, 0.0, cosine, sine, 0.0, -sine, cosine]), (3, 3))
            forward = tf.transpose(tf.constant(_TO_YIQ))
            turn = tf.matmul(tf.matmul(forward, turn), tf.linalg.inv(forward))
            matrix = brightness * contrast * tf.matmul(mix, turn)
            offset = (1 - contrast) * brightness * grey * tf.ones(3)
        return tf.tensordot(image, tf.concat([matrix, (offset - mean)[None]], axis=0), 1) + mean


    def _rescale(self, draw: tf.Tensor, image: tf.Tensor, value_range: tuple[float, float]) -> tf.Tensor:
        """Brightness and contrast of every channel, and padding with the middle of the range."""
        low, high = map(float, value_range)
        values, inside = image[..., :-1], image[..., -1:]
        brightness, contrast = (
            1 + (2 * draw[place] - 1) * amount for place, amount in ((7, self.brightness), (8, self.contrast))
        )
        mean = tf.reduce_sum(values, axis=[0, 1]) / tf.maximum(tf.reduce_sum(inside), 1.0)
        changed = (contrast * values + (1 - contrast) * mean * inside - low * inside) * brightness + low * inside
        return changed + (1 - inside) * (low + high) / 2


def check_augment(augment: Augment | None, channels: int) -> None:
    """SettingsError for changes of colour that have no meaning outside of RGB."""
    if augment is None or channels == 3:
        return
    named = [name for name in ("saturation", "hue") if getattr(augment, name, 0)]
    if named:
        raise SettingsError(
            f"Augment: {' and '.join(named)} is of RGB images alone, and these have {channels} channels: leave it out; "
            "brightness and contrast go with any"
        )


def centre(
    image: tf.Tensor,
    label: tf.Tensor,
    size: tuple[int, int],
    ignore_label: int = IGNORE_LABEL,
    value_range: tuple[float, float] = BYTES,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The middle of an image and its mask at `size`, cut or padded (mean colour, `ignore_label`), never
    resampled.
    """
    own = tf.shape(image)[:2]
    excess = own - tf.constant(size)
    start = tf.maximum(excess, 0) // 2
    stop = start + tf.minimum(own, size)
    image, label = (part[start[0] : stop[0], start[1] : stop[1]] for part in (image, label))
    before = tf.maximum(-excess, 0) // 2
    margins = tf.stack([before, tf.maximum(-excess, 0) - before], axis=1)
    around = tf.concat([margins, tf.zeros((len(label.shape) - 2, 2), margins.dtype)], axis=0)
    label = tf.pad(label, around, constant_values=tf.cast(ignore_label, label.dtype))
    channels = image.shape[-1]
    rgb = (channels, tuple(value_range)) == (3, BYTES)
    outside = MEAN_COLOUR if rgb else (sum(value_range) / 2,) * channels
    colours = [
        tf.pad(image[..., channel], margins, constant_values=tf.cast(value, image.dtype))
        for channel, value in enumerate(outside)
    ]
    image = tf.ensure_shape(tf.stack(colours, axis=-1), (*size, channels))
    return image, tf.ensure_shape(label, (*size, *label.shape[2:]))


def _resample(
    pixels: tf.Tensor, transform: tf.Tensor, target: tf.Tensor, method: str, fill: float
) -> tf.Tensor:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[None],
        transforms=transform[None],
        output_shape=target,
        fill_value=float(fill),
        interpolation=method,
        fill_mode="CONSTANT",
    )[0]


def _blur(image: tf.Tensor, sigma: tf.Tensor, chosen: tf.Tensor, largest: float) -> tf.Tensor:
    """Gaussian blur, (H, W, 3), with the border repeated; one kernel size so that the graph stays static."""
    radius = max(1, math.ceil(2 * largest))
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.exp(-(offsets**2) / (2 * tf.maximum(sigma, 0.01) ** 2))
    weights = weights / tf.reduce_sum(weights)

    def blurred() -> tf.Tensor:
        columns = tf.transpose(image, [2, 0, 1])[..., None]
        for axis, shape in ((1, [-1, 1, 1, 1]), (2, [1, -1, 1, 1])):
            first = tf.gather(columns, [0], axis=axis)
            last = tf.gather(columns, [tf.shape(columns)[axis] - 1], axis=axis)
            padded = tf.concat([first] * radius + [columns] + [last] * radius, axis=axis)
            columns = tf.nn.conv2d(padded, tf.reshape(weights, shape), strides=1, padding="VALID")
        return tf.transpose(columns[..., 0], [1, 2, 0])

    return tf.cond(chosen, blurred, lambda: image)
