"""The memory that a compiled network plans for its activations."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class PlannedMemory:
    """Bytes that one inference takes beside the weights, as the compiler laid them out.

    Attributes:
        image_bytes: the image that enters.
        map_bytes: the storages that maps take turns in, all there from the first to the last call.
        output_bytes: the logits, padding included.
        workspace_bytes: what the kernel that needs most allocates while it runs, such as a padded map.
    """

    image_bytes: int
    map_bytes: int
    output_bytes: int
    workspace_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it; what `Costs.peak_memory_bytes` counts is the image and the maps."""
        return self.image_bytes + self.map_bytes + self.output_bytes + self.workspace_bytes

    def to_json(self) -> dict[str, int]:
        """Returns the parts and their sum."""
        return {"total_bytes": self.total_bytes, **asdict(self)}
