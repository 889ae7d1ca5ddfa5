"""What a supernet file says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SupernetInfo:
    """How a supernet came to be; every value has a JSON form.

    Attributes:
        space: the name of the space.
        num_classes: outputs of the classifier.
        image_sizes: sides of the images it was trained on, px.
        recipe: `TrainRecipe.to_json()`, or what stands for it where the weights came from outside.
        data: the name of the data set.
        data_fingerprint: the digest of the data set.
        metrics: figures taken after training, such as accuracies in percent.
        bits: bitwidths that it was tuned for; none where it has only been trained in floating point.
        learned_steps: whether it holds learned step sizes for them.
        start: where training went on from another supernet: its `digest` and its `recipe`.
        space_definition: what `space_of_definition` makes the space from, where no name stands for it.
    """

    space: str
    num_classes: int
    image_sizes: tuple[int, ...]
    recipe: Mapping[str, Any]
    data: str
    data_fingerprint: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    bits: tuple[int, ...] = ()
    learned_steps: bool = False
    start: Mapping[str, Any] | None = None
    space_definition: Mapping[str, Any] | None = None
