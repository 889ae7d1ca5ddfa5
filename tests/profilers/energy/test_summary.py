"""What `hwnas profile` says of energies."""

from typing import Any

from hwnas.profilers.energy.summary import describe_energy, energy_line
from hwnas.profilers.measurement import Measurement

MEASURED = {
    "source": "measured",
    "meter": "rapl",
    "boundary": "the processor",
    "window_s": 1.0,
    "repeats": 3,
    "idle_subtracted": True,
}


def taken(energy_mj: float | None, **about: Any) -> Measurement:
    return Measurement(
        subject="s",
        device="cpu",
        fingerprint="f",
        kind="measured",
        latency_ms=1.0,
        p95_ms=1.0,
        ci_low_ms=1.0,
        ci_high_ms=1.0,
        samples_ms=(1.0,),
        energy_mj=energy_mj,
        energy_source=about.get("source") if energy_mj is not None else None,
        energy=about or None,
        time="2026-01-01T00:00:00+00:00",
    )


def test_measured_energies_say_by_whom_and_how_well() -> None:
    many = [taken(2.0, **MEASURED, idle_mw=900.0 + cv, cv_percent=cv) for cv in (1.0, 2.0, 9.0)]
    described = describe_energy([*many, taken(None, **MEASURED, reason="no more than idle")])
    assert described["cv_percent"] == 2.0
    assert described["idle_mw"] == 902.0
    assert energy_line(described) == (
        "energy: measured; by rapl (the processor); 3 windows of 1 s; CV 2.0 %; 902 mW of idle power taken "
        "off; 1 networks have none: no more than idle"
    )


def test_modelled_and_missing_energies_say_so() -> None:
    modelled = describe_energy([taken(2.0, source="modelled", model="mine", boundary="arithmetic")])
    assert energy_line(modelled) == "energy: modelled; by the model 'mine' (arithmetic)"
    own = describe_energy([taken(2.0, source="imported", boundary="the board")])
    assert energy_line(own) == "energy: imported; by the device (the board)"
    nothing = describe_energy([taken(None, reason="the counter is gone")])
    assert energy_line(nothing) == "energy: none; 1 networks have none: the counter is gone"
