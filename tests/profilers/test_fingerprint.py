from hwnas.profilers.conditions import between, conditions
from hwnas.profilers.fingerprint import Fingerprint, processor_facts


def test_the_digest_depends_on_facts_and_not_on_their_order() -> None:
    one, same = Fingerprint({"a": 1, "b": "x"}), Fingerprint({"b": "x", "a": 1})
    assert one.digest == same.digest
    assert len(one.digest) == 16
    assert one.digest != Fingerprint({"a": 2, "b": "x"}).digest


def test_the_processor_has_a_name_and_an_instruction_set() -> None:
    facts = processor_facts()
    assert set(facts) == {"machine", "cpu", "isa"}
    assert all(facts.values())


def test_conditions_count_over_a_span() -> None:
    before = conditions([0])
    assert before["cores"] == [0]
    span = between({"preempted": 3, "governor": "performance"}, {"preempted": 5, "governor": "powersave"})
    assert span == {"preempted": 2, "governor": "performance"}
