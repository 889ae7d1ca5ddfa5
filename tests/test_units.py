"""Quantities with units."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.units import format_size_bytes, format_time_ms, parse_energy_mj, parse_size_bytes, parse_time_ms


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25ms", 25),
        ("0.9s", 900),
        ("350us", 0.35),
        ("350µs", 0.35),
        (" 2 min ", 120e3),
        ("1e3ns", 1e-3),
        (".5ms", 0.5),
    ],
)
def test_times_are_read_in_milliseconds(text: str, value: float) -> None:
    assert parse_time_ms(text) == pytest.approx(value)


def test_sizes_and_energies_are_read() -> None:
    assert parse_size_bytes("4MB") == 4e6
    assert parse_size_bytes("4MiB") == 4 * 2**20
    assert parse_energy_mj("3mJ") == 3
    assert parse_energy_mj("2J") == 2000


def test_a_bare_number_is_refused_with_what_to_write() -> None:
    with pytest.raises(InputError, match=r"--target-latency needs a unit.*write 25ms"):
        parse_time_ms("25", "--target-latency")


@pytest.mark.parametrize(
    "text", ["", "ms", "-3ms", "0ms", "0.0s", "3 parsecs", "nanms", "infms", "1e999ms", "25 m s", "2,5ms"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_time_ms(text)


@given(st.floats(1e-3, 1e7))
def test_what_is_printed_can_be_read_again(latency_ms: float) -> None:
    assert math.isclose(parse_time_ms(format_time_ms(latency_ms)), latency_ms, rel_tol=6e-3)


@given(st.floats(1, 1e12))
def test_sizes_printed_can_be_read_again(size_bytes: float) -> None:
    assert math.isclose(parse_size_bytes(format_size_bytes(size_bytes)), size_bytes, rel_tol=6e-3)
