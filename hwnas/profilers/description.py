"""What every description of a device has, whatever runs it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from hwnas.profilers.energy.settings import EnergySettings
from hwnas.spaces.mobilenet_recipe import checked_name


class Section(BaseModel):
    """Fields of a device file: nothing unknown, nothing turned into another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DeviceFile(Section):
    """What every device file has.

    Attributes:
        name: shown, and the key in fronts and stores.
        energy: how its energy is measured; None for the first meter there is.
    """

    # The fields that hold paths, which are relative to the file's own folder.
    paths: ClassVar[tuple[str, ...]] = ()

    name: Annotated[str, BeforeValidator(checked_name)]
    runtime: str
    energy: EnergySettings | None = None

    def placed(self, folder: Path) -> "DeviceFile":
        """Returns the same device with paths that do not depend on where it is read from."""
        given = {field: value for field in self.paths if (value := getattr(self, field)) is not None}
        update: dict[str, Any] = {field: str((folder / path).resolve()) for field, path in given.items()}
        if self.energy and self.energy.constants:
            constants = str((folder / self.energy.constants).resolve())
            update["energy"] = replace(self.energy, constants=constants)
        return self.model_copy(update=update)
