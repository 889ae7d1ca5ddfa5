"""The training recipe: every knob of a training run, as one value."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hwnas.data.augment import Augmentation
from hwnas.errors import InputError
from hwnas.supernet.training.phase import Phase
from hwnas.supernet.training.sampling import QuantizedSandwich, SamplingRule, Sandwich

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """How a supernet is trained; the defaults are those of the shipped demo supernet.

    A run is one phase of `epochs`, `learning_rate`, `warmup_epochs` and `sampling`, and then those
    of `then`, in their order; all else holds throughout.

    Attributes:
        epochs: passes over the train split.
        batch_size: images a step, shared out over the processes of the run; all of the split where
            it holds fewer.
        optimizer: `sgd` (Nesterov), `adamw`, or `muon` (for dense convolutions, `adamw` for the
            rest).
        learning_rate: the highest; it rises linearly in the warm-up, then falls to 0 by a cosine.
        matrix_rate: learning rate of the weights that `muon` updates, as a multiple of that of the
            others.
        momentum: of `sgd`; the first beta of `adamw`.
        weight_decay: of weights; normalisations and biases have none.
        transform_rate: learning rate of kernel transforms, as a share of that of weights: few
            numbers that all channels share, and that every step moves.
        transform_decay: weight decay of kernel transforms, which pulls them to 0, not to the
            identity they start from.
        warmup_epochs: length of the warm-up, may be a fraction.
        label_smoothing: share of the target spread over all classes.
        distillation: share of the soft targets in the loss of a network that is taught; the rest
            is the labels'. 1 is BigNAS's.
        dropout: share of the classifier's inputs that are dropped in training.
        gradient_clip: largest norm of the summed gradient; None for no limit.
        ema_decay: decay a step of the averaged weights that are kept; None keeps the last ones.
        precision: of most of the arithmetic; weights are always kept in 32 bits. `fp16` scales the
            loss and needs a GPU.
        sync_norm: whether normalisations take the statistics of the whole batch where it is shared
            out over processes; without, those of each process's part.
        sampling: which architectures a step runs.
        augmentation: how images are varied; None leaves them as they are.
        then: the phases that follow the first.
        seed: of weights, order, augmentation and sampling.
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: Literal["sgd", "adamw", "muon"] = "muon"
    learning_rate: float = 4e-3
    matrix_rate: float = 12.5
    momentum: float = 0.9
    weight_decay: float = 0.02
    transform_rate: float = 1.0
    transform_decay: float = 0.0
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.05
    distillation: float = 0.5
    dropout: float = 0.0
    gradient_clip: float | None = 5.0
    ema_decay: float | None = None
    precision: Precision = "fp32"
    sync_norm: bool = True
    sampling: SamplingRule = field(default_factory=lambda: Sandwich(num_random=6))
    augmentation: Augmentation | None = field(default_factory=lambda: Augmentation(erase_probability=0.0))
    then: tuple[Phase, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        if self.optimizer not in ("sgd", "adamw", "muon"):
            raise InputError(
                f"recipe: optimizer must be 'sgd', 'adamw' or 'muon', but got '{self.optimizer}'"
            )
        if self.precision not in ("fp32", "bf16", "fp16"):
            raise InputError(
                f"recipe: precision must be 'fp32', 'bf16' or 'fp16', but got '{self.precision}'"
            )
        within = {
            "batch_size": self.batch_size >= 2,
            "matrix_rate": 0 < self.matrix_rate < math.inf,
            "momentum": 0 <= self.momentum < 1,
            "weight_decay": 0 <= self.weight_decay < math.inf,
            "transform_rate": 0 <= self.transform_rate < math.inf,
            "transform_decay": 0 <= self.transform_decay < math.inf,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "distillation": 0 <= self.distillation <= 1,
            "dropout": 0 <= self.dropout < 1,
            "gradient_clip": self.gradient_clip is None or 0 < self.gradient_clip < math.inf,
            "ema_decay": self.ema_decay is None or 0 <= self.ema_decay < 1,
            "seed": self.seed >= 0,
        }
        for name, fits in within.items():
            if not fits:
                raise InputError(f"recipe: {name} is out of its range: {getattr(self, name)}")
        if self.phases[0].sampling.needs_teacher:
            raise InputError(
                f"recipe: {self.sampling.name} sampling learns from a fixed network, so a phase that "
                f"trains the largest must come before it"
            )

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All phases, in order."""
        first = Phase(
            name=self.sampling.name,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            warmup_epochs=self.warmup_epochs,
            sampling=self.sampling,
        )
        return (first, *self.then)

    @property
    def all_epochs(self) -> int:
        """Passes over the train split, over all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def bits(self) -> tuple[int, ...]:
        """Bitwidths that any phase trains for beside floating point, ascending."""
        rules = (phase.sampling for phase in self.phases)
        return tuple(
            sorted({bits for rule in rules if isinstance(rule, QuantizedSandwich) for bits in rule.bits})
        )

    @property
    def learned_steps(self) -> bool:
        """Whether any phase learns step sizes."""
        rules = (phase.sampling for phase in self.phases)
        return any(isinstance(rule, QuantizedSandwich) and rule.learned_steps for rule in rules)

    def to_json(self) -> dict[str, Any]:
        """Returns all fields; equal recipes have equal JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {
            "sampling": self.sampling.to_json(),
            "augmentation": None if self.augmentation is None else asdict(self.augmentation),
            "then": [phase.to_json() for phase in self.then],
        }
