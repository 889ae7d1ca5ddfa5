"""What a run says at its end."""

from types import SimpleNamespace

import pytest

from hwnas.export.remarks import finish_remarks
from hwnas.search.baselines import Margin


@pytest.mark.parametrize(("error", "said"), [(0.42, "+3.00 ± 0.42 points"), (float("nan"), "+3.00 points")])
def test_a_margin_has_an_error_where_there_is_one(error: float, said: str) -> None:
    front = SimpleNamespace(members=(), dropped=())
    (_, line) = finish_remarks(front, {"random": Margin(3.0, error, 1, 1, ())})
    assert said in line
