"""`Labelling`: what a network's channels stand for, saved with the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from kseg import checks
from kseg.errors import SettingsError


class Labelling:
    """Names, colours and the meaning of a network's classes, each checked when it is set.

    Args:
        num_classes: channels of the network's output.

    Attributes:
        classes: names, or None.
        palette: an (r, g, b) of 0-255 per class, or None.
        working_size: (height, width) that images are resized to, or None.
        multilabel: whether a pixel may belong to several classes, or to none.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._classes = self._palette = self._working_size = None
        self._multilabel = False

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self._classes

    @classes.setter
    def classes(self, names: Sequence[str] | None) -> None:
        if isinstance(names, str):
            raise checks.wrong("classes", "a list of names, one a class", names)
        self._classes = self._one_per_class(names, "classes")

    @property
    def palette(self) -> tuple[tuple[int, ...], ...] | None:
        return self._palette

    @palette.setter
    def palette(self, colours: Sequence[Sequence[int]] | None) -> None:
        colours = self._one_per_class(colours, "palette")
        named = (checks.colour(one, "a colour of `palette`") for one in colours or ())
        self._palette = None if colours is None else tuple(named)

    @property
    def working_size(self) -> tuple[int, int] | None:
        return self._working_size

    @working_size.setter
    def working_size(self, size: Sequence[int] | None) -> None:
        size = None if size is None else checks.wholes(size, "working_size (height, width)", count=2)
        self._working_size = size

    @property
    def multilabel(self) -> bool:
        return self._multilabel

    @multilabel.setter
    def multilabel(self, value: bool) -> None:
        self._multilabel = checks.flag(value, "multilabel")

    def to_config(self) -> dict[str, Any]:
        """What is saved; `multilabel` only where it is so."""
        multilabel = {"multilabel": True} if self.multilabel else {}
        return {
            **multilabel,
            "classes": self.classes,
            "palette": self.palette,
            "working_size": self.working_size,
        }

    def _one_per_class(self, values: Any, what: str) -> tuple[Any, ...] | None:
        if isinstance(values, (Mapping, Set)):
            raise checks.wrong(what, "a list in the order of the class ids", values)
        # of one channel, background and object
        count = self.num_classes if self.multilabel else max(self.num_classes, 2)
        if values is not None and len(values) != count:
            raise SettingsError(f"`{what}` needs {count} entries, one a class; got {len(values)}")
        return None if values is None else tuple(values)


def labelled(name: str) -> property:
    """A property of a network that its `Labelling` holds."""
    return property(
        lambda model: getattr(model._labelling, name),
        lambda model, value: setattr(model._labelling, name, value),
    )
