"""What TensorBoard shows of a training run."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from hwnas.errors import UnavailableError


class Board:
    """Writes figures for TensorBoard, or none where there is no folder; use it in a `with`."""

    def __init__(self, folder: Path | None, step: int) -> None:
        """Opens a folder; what an earlier run wrote there of later steps than `step` is hidden.

        Raises:
            UnavailableError: a folder is given and tensorboard is not installed.
        """
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UnavailableError(
                'this needs tensorboard, which is not installed: pip install "hwnas[tensorboard]", or '
                "leave out --tensorboard"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> "Board":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Writes figures by name, as they are after `step` steps."""
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)
