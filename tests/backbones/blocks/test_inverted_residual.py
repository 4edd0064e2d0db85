import pytest

from kseg.backbones.blocks.inverted_residual import _strides_and_rates, divisible


@pytest.mark.parametrize(
    ("output_stride", "first_rate", "expected"),
    [
        (32, "stage", [(2, 1), (1, 1), (2, 1), (2, 1), (2, 1), (1, 1)]),
        (16, "stage", [(2, 1), (1, 1), (2, 1), (2, 1), (1, 2), (1, 2)]),
        (16, "previous", [(2, 1), (1, 1), (2, 1), (2, 1), (1, 1), (1, 2)]),
        (8, "previous", [(2, 1), (1, 1), (2, 1), (1, 1), (1, 2), (1, 4)]),
        (8, "stage", [(2, 1), (1, 1), (2, 1), (1, 2), (1, 4), (1, 4)]),
    ],
)
def test_removed_strides_become_rates(output_stride, first_rate, expected):
    assert list(_strides_and_rates([2, 1, 2, 2, 2, 1], output_stride, first_rate)) == expected


def test_divisible_is_that_of_the_release():
    """`_make_divisible` of tensorflow/models: the nearest multiple of 8, not more than 10 % below."""
    cases = (
        (4, 8),
        (11, 16),
        (12, 16),
        (18, 24),
        (20, 24),
        (28, 32),
        (168, 168),
        (172, 176),
        (240 / 4, 64),
        (83, 80),
    )
    assert {given: divisible(given) for given, _ in cases} == dict(cases)
