import pytest

from hwnas.differences import differing, told


def test_differing_keys_are_told_with_their_path() -> None:
    found, wanted = (
        {"a": 1, "b": {"c": 2, "d": 3}, "e": 4},
        {"a": 1, "b": {"c": 5, "d": 3}, "f": None, "g": 0},
    )
    assert list(differing(found, wanted)) == ["b.c", "e", "g"]
    assert told(found, wanted) == "b.c is 2, not 5; e is 4, not None; g is None, not 0"


@pytest.mark.parametrize(("found", "wanted"), [("x", "y"), (None, {"a": 1}), ({"a": {"b": 1}}, {"a": 2})])
def test_what_is_no_mapping_is_told_whole(found: object, wanted: object) -> None:
    assert "not" in told(found, wanted)
    assert told({"same": found}, {"same": found}) == ""
