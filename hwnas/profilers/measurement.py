"""The measurement: samples of one network on one device, with the conditions they were taken in."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from hwnas.errors import InputError
from hwnas.files import checked

Kind = Literal["measured", "simulated"]
Verdict = Literal["stable", "unstable"]
EnergySource = Literal["measured", "imported", "modelled"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one subject took on one device.

    Attributes:
        subject: the subject key, `Network.key` of what ran.
        device: the name of the device.
        fingerprint: the digest of the device's fingerprint.
        kind: `measured` with a clock, or `simulated` by a model.
        latency_ms: the median over the samples that count, corrected: as long as it would have taken
            while the canary took `canary_reference_ms`.
        p95_ms: the 95th percentile, corrected, outliers included. A sample is the mean of
            `calls_per_sample` calls in a row, so it is over single calls where that is 1.
        ci_low_ms, ci_high_ms: the 95 % confidence interval of the median.
        samples_ms: every sample as the clock told it, in the order taken.
        calls_per_sample: calls averaged in one sample.
        verdict: `unstable` where the interval stayed too wide, the tail too long, something else ran,
            or the machine was hardly ever at full speed; `reasons` says which. A reason
            for doubt that repeating cannot cure, such as kernels without schedules, leaves `stable`.
        raw_latency_ms, raw_p95_ms: what the clock said, not corrected; None where no clock was asked.
        canary_ms: the time of the canary, a network that never changes, before and after.
        canary_reference_ms: the canary's time on this device at full speed, in its good moments.
        canary_samples_ms: the canary's time around each sample.
        left_out: numbers of the samples that do not count: outliers, and those taken while
            something else ran or below full speed (these are not in the 95th percentile either).
        energy_mj: of one call; None where nothing can measure it.
        energy: how that was found: `source`, `boundary` and, where it was measured, `meter`,
            `window_s`, `repeats`, `idle_mw`, `idle_subtracted`, `power_mw`, `inferences` and
            `cv_percent` over the repeats; `reason` where it was tried and there is none.
        conditions: facts about the machine at that time: governor, load, pinned cores, versions.
        time: when it ended, UTC, ISO 8601.
    """

    subject: str
    device: str
    fingerprint: str
    kind: Kind
    latency_ms: float
    p95_ms: float
    ci_low_ms: float
    ci_high_ms: float
    samples_ms: tuple[float, ...]
    calls_per_sample: int = 1
    verdict: Verdict = "stable"
    reasons: tuple[str, ...] = ()
    raw_latency_ms: float | None = None
    raw_p95_ms: float | None = None
    canary_ms: tuple[float, float] | None = None
    canary_reference_ms: float | None = None
    canary_samples_ms: tuple[float, ...] = ()
    left_out: tuple[int, ...] = ()
    energy_mj: float | None = None
    energy_source: EnergySource | None = None
    energy: Mapping[str, Any] | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    time: str

    def at_reference(self, canary_reference_ms: float | None) -> "Measurement":
        """Returns the measurement corrected to another reference time of the canary.

        A device may turn out to be faster than it was when it was first measured; all its times are
        then told at the new speed. Nothing changes where either reference is not known.
        """
        if self.canary_reference_ms is None or canary_reference_ms is None:
            return self
        ratio = canary_reference_ms / self.canary_reference_ms
        return replace(
            self,
            latency_ms=self.latency_ms * ratio,
            p95_ms=self.p95_ms * ratio,
            ci_low_ms=self.ci_low_ms * ratio,
            ci_high_ms=self.ci_high_ms * ratio,
            canary_reference_ms=canary_reference_ms,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a JSON object."""
        parsed: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return parsed

    @staticmethod
    def of_json(value: Mapping[str, Any]) -> "Measurement":
        """Returns the measurement that `to_json` wrote.

        Raises:
            InputError: a field is missing, of another type, or a time that is none; the message
                names it.
        """
        try:
            found = checked(Measurement, value)
            for name in ("latency_ms", "p95_ms", "ci_low_ms", "ci_high_ms", "canary_reference_ms"):
                if (time_ms := getattr(found, name)) is not None and time_ms <= 0:
                    raise ValueError(f"{name} must be above zero, but is {time_ms}")
            return found
        except ValueError as error:
            raise InputError(f"a stored measurement is damaged ({error}); restore its file") from error


@dataclass(frozen=True)
class Failure:
    """A subject that could not be measured, and why; the others of its group are kept."""

    subject: str
    reason: str
