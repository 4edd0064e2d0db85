"""Types and ranges of fields."""

from dataclasses import dataclass

import pytest

from kseg.errors import SettingsError
from kseg.training.recipes.fields import check_fields, in_json


@dataclass(frozen=True)
class Some:
    count: int = 1
    size: tuple[int, int] | None = None
    scales: tuple[float, ...] | None = None
    on: bool = False
    name: str = ""
    weights: str | tuple[float, ...] | dict[str, float] | None = None

    def __post_init__(self):
        check_fields(self, {"count": (1, 5)}, {"name": ("", "a")})


def test_values_come_in_their_own_types():
    some = Some(count=2.0, size=[3, 4], scales=[1], weights={1: 2})
    assert (some.count, some.size, some.scales, some.weights) == (2, (3, 4), (1.0,), {"1": 2.0})
    assert isinstance(some.count, int)
    assert isinstance(some.scales[0], float)
    assert in_json(((1, 2), 3)) == [[1, 2], 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"count": 6},
        {"count": 1.5},
        {"count": True},
        {"count": None},
        {"size": [3]},
        {"size": 3},
        {"scales": "1"},
        {"on": 1},
        {"name": "b"},
        {"name": 3},
        {"weights": 3},
        {"weights": {"a": "b"}},
    ],
)
def test_others_are_refused_by_name(changes):
    with pytest.raises(SettingsError, match=next(iter(changes))):
        Some(**changes)
