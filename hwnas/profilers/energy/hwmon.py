"""hwmon: power monitors on boards, such as INA3221 on a Jetson and INA226 on an FPGA board."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import final

from hwnas.errors import UnavailableError
from hwnas.profilers.energy.meter import EnergyMeter, MeterFacts, ReadEnergy, integrated, number, word
from hwnas.profilers.energy.settings import EnergySettings

_WINDOW_S = 5.0
# Rails that feed everything else of their module: on Jetsons.
_WHOLE = ("VDD_IN", "POM_5V_IN")
# An INA3221 has three channels; what it numbers beyond are sums and shunt voltages.
_CHANNELS = 3


@dataclass(frozen=True)
class Rail:
    """One power rail.

    Attributes:
        chip: the name of its monitor.
        label: the board's name for it, else the channel's number.
        files: one file of power in µW, or voltage in mV and current in mA.
    """

    chip: str
    label: str
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """`CHIP/LABEL`."""
        return f"{self.chip}/{self.label}"

    def power_mw(self) -> float:
        """Returns the power now.

        Raises:
            UnavailableError: it cannot be read.
        """
        try:
            values = [number(file) for file in self.files]
        except PermissionError as error:
            raise UnavailableError(f"{error.filename} may not be read; run as a user who may") from error
        return values[0] * values[1] / 1e3 if len(values) == 2 else values[0] / 1e3

    def matches(self, wanted: str) -> bool:
        """Returns whether `CHIP/LABEL` or `CHIP`, with `*` for anything, stands for this rail."""
        return fnmatchcase(self.name, wanted) or fnmatchcase(self.chip, wanted)


@final
class HwmonMeter(EnergyMeter):
    """The sum of some rails of the board, their power polled and integrated."""

    name = "hwmon"

    def __init__(self, settings: EnergySettings) -> None:
        """Takes `rails`, `boundary`, `interval_ms` and `sysfs`."""
        self._settings = settings
        self._root = Path(settings.sysfs) / "class" / "hwmon"

    def facts(self) -> MeterFacts:
        """Returns which rails are read."""
        names = ", ".join(rail.name for rail in self._rails())
        says = self._settings.boundary
        return MeterFacts(
            f"hwmon power, every {self._settings.interval_ms:g} ms",
            f"{says} (rails {names})" if says else f"what the board feeds from rails {names}",
            _WINDOW_S,
        )

    @contextmanager
    def opened(self) -> Iterator[ReadEnergy]:
        """Yields the energy of the rails."""
        rails = self._rails()
        with integrated(
            lambda: sum(rail.power_mw() for rail in rails), self._settings.interval_ms / 1e3
        ) as read:
            yield read

    def _rails(self) -> list[Rail]:
        return chosen_rails(rails_here(self._root), self._settings.rails, self._root)


def rails_here(root: Path) -> list[Rail]:
    """Returns every rail with a monitor, in the order of chips and channels."""
    found: list[Rail] = []
    for chip in sorted(root.glob("hwmon*"), key=lambda folder: (len(folder.name), folder.name)):
        name = word(chip / "name")
        for power in sorted(chip.glob("power*_input")):
            channel = power.name.removeprefix("power").removesuffix("_input")
            found.append(Rail(name, word(chip / f"power{channel}_label") or channel, (power,)))
        for channel in map(str, range(1, _CHANNELS + 1)):
            pair = (chip / f"in{channel}_input", chip / f"curr{channel}_input")
            if all(file.exists() for file in pair) and not (chip / f"power{channel}_input").exists():
                label = word(chip / f"in{channel}_label") or word(chip / f"curr{channel}_label")
                found.append(Rail(name, label or channel, pair))
    return found


def chosen_rails(rails: Sequence[Rail], wanted: Sequence[str], root: Path) -> list[Rail]:
    """Returns the rails that were asked for; with none asked for, the one that feeds all others.

    Raises:
        UnavailableError: none here, none of a name, or none asked for where it is not clear which to
            add up: rails may contain each other.
    """
    if not rails:
        raise UnavailableError(f"{root} has no power monitors")
    shown = ", ".join(rail.name for rail in rails[:12]) + (", ..." if len(rails) > 12 else "")
    for name in wanted:
        if not any(rail.matches(name) for rail in rails):
            raise UnavailableError(f"there is no rail '{name}' in {root}; there are: {shown}")
    if wanted:
        return [rail for rail in rails if any(rail.matches(name) for name in wanted)]
    monitors = [rail for rail in rails if rail.chip.startswith("ina")]
    whole = [rail for rail in monitors if rail.label in _WHOLE]
    if len(whole) == 1 or len(monitors) == 1:
        return whole or monitors
    raise UnavailableError(
        f"of the power monitors in {root} it is not clear which to add up, since some may contain others: "
        f"name them in a device file as energy: {{meter: hwmon, rails: [...]}}; there are: {shown}"
    )
