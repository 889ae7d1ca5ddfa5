import os
from pathlib import Path

import pytest

from hwnas.profilers.machine import conditions as conditions_module
from hwnas.profilers.machine.conditions import Watch, between, conditions
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.machine.processor import processor_facts

CORES = os.cpu_count() or 1


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


def test_others_that_take_a_share_of_the_machine_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(
        [(0.0, 0, 0.0), (0.2, 1, 2.0), (0.4, 1, 2.0 + 200.0 * CORES), (0.6, 40, 2.0 + 200.0 * CORES)]
    )
    monkeypatch.setattr(Watch, "_look", staticmethod(lambda: next(looks)))
    watch = Watch()
    assert [watch.something_ran() for _ in range(3)] == [False, True, True]


def test_a_system_that_counts_nothing_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(conditions_module, "_STAT", tmp_path / "none")
    assert "others_ms" not in conditions([0])
    assert not Watch().something_ran()


def test_clocks_are_read_where_there_is_a_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpu0/cpufreq").mkdir(parents=True)
    (tmp_path / "cpu0/cpufreq/scaling_cur_freq").write_text("2400000\n")
    (tmp_path / "cpu0/cpufreq/scaling_governor").write_text("powersave\n")
    monkeypatch.setattr(conditions_module, "_CPU", tmp_path)
    found = conditions([0])
    assert (found["clock_mhz"], found["governor"]) == (2400.0, "powersave")
