from pathlib import Path

import pytest


class Sysfs:
    """A recorded sysfs: files that a test writes and moves on."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def rapl(self, folder: str, name: str, energy_uj: int, range_uj: int = 1_000_000) -> Path:
        """Returns the counter file of a powercap domain."""
        place = self.root / "class" / "powercap" / folder
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        (place / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (place / "energy_uj").write_text(f"{energy_uj}\n")
        return place / "energy_uj"

    def hwmon(self, folder: str, name: str, **files: object) -> Path:
        """Returns the folder of a monitor with these files."""
        place = self.root / "class" / "hwmon" / folder
        place.mkdir(parents=True)
        for file, value in {"name": name, **files}.items():
            (place / file).write_text(f"{value}\n")
        return place


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")
