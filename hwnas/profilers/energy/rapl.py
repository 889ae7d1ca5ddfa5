"""RAPL: the energy counters of x86 processors, as Linux shows them under powercap."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from hwnas.errors import UnavailableError
from hwnas.profilers.energy.meter import EnergyMeter, MeterFacts, ReadEnergy, number, word

_WINDOW_S = 1.0


@dataclass(frozen=True)
class Domain:
    """A counter that nothing else read here contains.

    Attributes:
        name: `package-0`, or `package-0 dram`.
        range_uj: where it begins anew at zero.
    """

    folder: Path
    name: str
    range_uj: int

    def energy_uj(self) -> int:
        """Returns what the counter shows.

        Raises:
            UnavailableError: it may not be read, or is none.
        """
        try:
            return number(self.folder / "energy_uj")
        except PermissionError:
            raise UnavailableError(
                f"{self.folder}/energy_uj may be read by root only (since CVE-2020-8694); allow it until the "
                f"next boot: sudo chmod a+r {self.folder.parent}/intel-rapl:*/energy_uj"
            ) from None


@final
class RaplMeter(EnergyMeter):
    """All processor packages of this machine, and their memory where it has counters of its own."""

    name = "rapl"

    def __init__(self, sysfs: Path = Path("/sys")) -> None:
        """Takes where sysfs is mounted."""
        self._root = sysfs / "class" / "powercap"

    def facts(self) -> MeterFacts:
        """Returns what is counted."""
        names = [domain.name for domain in domains(self._root)]
        memory = "memory included" if any(name.endswith("dram") for name in names) else "memory not included"
        return MeterFacts(
            "RAPL energy counters",
            f"the whole processor, whoever uses it ({', '.join(names)}); {memory}; "
            "no disks, fans or power supply",
            _WINDOW_S,
        )

    @contextmanager
    def opened(self) -> Iterator[ReadEnergy]:
        """Yields the sum of the counters."""
        yield _Sum(domains(self._root)).read


def domains(root: Path) -> list[Domain]:
    """Returns the counters to add up: each package, and its `dram`, which packages do not contain.

    Left out, since packages contain them: `core` and `uncore`; since it contains packages: `psys`;
    and `intel-rapl-mmio`, the same counters on another road.

    Raises:
        UnavailableError: there are none.
    """
    found: list[Domain] = []
    for folder in sorted(root.glob("intel-rapl:*")):
        name, parents = word(folder / "name"), folder.name.count(":")
        if parents == 1 and name.startswith("package"):
            found.append(_domain(folder, name))
        elif parents == 2 and name == "dram":
            package = word(root / folder.name.rsplit(":", 1)[0] / "name")
            found.append(_domain(folder, f"{package} dram"))
    if not found:
        raise UnavailableError(
            f"{root} has no intel-rapl packages: virtual machines and processors other than x86 have none"
        )
    return found


class _Sum:
    def __init__(self, domains: Sequence[Domain]) -> None:
        self._domains = domains
        self._last = [domain.energy_uj() for domain in domains]
        self._total_uj = 0

    def read(self) -> float:
        for index, domain in enumerate(self._domains):
            now = domain.energy_uj()
            # A counter that fell has begun anew.
            self._total_uj += (now - self._last[index]) % domain.range_uj
            self._last[index] = now
        return self._total_uj / 1e3


def _domain(folder: Path, name: str) -> Domain:
    try:
        range_uj = number(folder / "max_energy_range_uj")
    except PermissionError as error:
        raise UnavailableError(f"{folder}/max_energy_range_uj may not be read") from error
    if range_uj <= 0:
        raise UnavailableError(f"{folder}/max_energy_range_uj must be above 0, but is {range_uj}")
    return Domain(folder, name, range_uj)
