"""The contract of a space: genes, canonical form, and architectures turned into layers."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.files import json_object
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.bit_rule import BitRule
from hwnas.spaces.costs import CostTable
from hwnas.spaces.layer import Layer
from hwnas.spaces.slots import SlotTables

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Gene:
    """A choice the search makes: `group` and `index` place it in the JSON form.

    Attributes:
        index: position in the group's list, or None where the group is a single number.
        choices: ascending; whole numbers, or all of them floats.
        amounts: what the choices stand for where they are not amounts themselves, such as width
            factors behind their indices; () elsewhere.
    """

    group: str
    index: int | None
    choices: tuple[int, ...] | tuple[float, ...]
    amounts: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Such as `ks[3]` or `r`."""
        return self.group if self.index is None else f"{self.group}[{self.index}]"

    def find(self, value: Any) -> int:
        """Returns the index of a choice, -1 for what is none; 3.0 is no choice where 3 is, but 1 is 1.0."""
        whole = isinstance(self.choices[0], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return -1
        return self.choices.index(value) if value in self.choices else -1


class Space(ABC):
    """A family of networks: genes with choices, and the chain of layers each point builds.

    A genome is a row of choice indices, one a gene. A *slot* is a place in the chain that a layer
    may fill; the *vocabulary* is every layer that may stand anywhere. A population is then a
    matrix of layer ids [n, slots], and whatever adds up over layers is one table look-up.

    Attributes:
        name: the registered name.
        genes: in genome order; the image size `r` is the last.
        tables: the layers of each slot, without names, in floating point.
        num_classes: outputs of the classifier.
        norm_eps: what batch normalisation adds to variances.
        definition: JSON that `space_of_definition` makes the space from again, for a space that
            no name stands for; None where the name is enough.
        bit_rule: which layers share bits, and the least bits at both ends.
    """

    name: str
    genes: tuple[Gene, ...]
    tables: SlotTables
    num_classes: int
    norm_eps: float = 1e-5
    definition: Mapping[str, Any] | None = None
    bit_rule: BitRule = BitRule()

    @abstractmethod
    def covering(self) -> list[Architecture]:
        """Returns a few architectures that together hold every layer of every slot."""

    @property
    @abstractmethod
    def num_architectures(self) -> int:
        """The number of distinct architectures, counted exactly."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the places in the chain, such as `stages.0.1`."""
        return self.tables.slots

    @property
    def vocabulary(self) -> tuple[Layer, ...]:
        """Every distinct layer, without names, in floating point."""
        return self.tables.vocabulary

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The choices of the input side, px, ascending."""
        return tuple(int(size) for size in self.genes[-1].choices)

    @cached_property
    def key(self) -> str:
        """The name to file things under: spaces of one name that differ have different keys."""
        if self.definition is None:
            return self.name
        text = json.dumps(self.definition, sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def canonical(self, genomes: Ints) -> Ints:
        """Returns genomes [n, genes] with the smallest choice that builds the same layers in each gene."""
        return self.tables.canonical(genomes)

    def layer_ids(self, genomes: Ints) -> Ints:
        """Returns vocabulary ids [n, slots]; -1 where the slot is empty."""
        return self.tables.layer_ids(genomes)

    def active_genes(self, genomes: Ints) -> NDArray[np.bool_]:
        """Returns which genes [n, genes] matter: those with a choice that fills a slot of theirs."""
        return self.tables.active(genomes)

    @cached_property
    def slot_choices(self) -> Mapping[str, tuple[Layer, ...]]:
        """The layers that may stand in each slot, without names."""
        return self.tables.slot_choices

    @cached_property
    def cost_table(self) -> CostTable:
        """Costs of the vocabulary's layers."""
        return CostTable.of(self.vocabulary)

    @cached_property
    def quantizable_slots(self) -> NDArray[np.bool_]:
        """Which slots [slots] hold layers with weights."""
        return np.array([layers[0].quantizable for layers in self.slot_choices.values()])

    @cached_property
    def choice_counts(self) -> Ints:
        """The number of choices of each gene, [genes]."""
        return np.array([len(gene.choices) for gene in self.genes], dtype=np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Returns n architectures, each gene drawn uniformly from its choices."""
        return self.architectures(self.sample_genomes(n, rng))

    def sample_genomes(self, n: int, rng: np.random.Generator) -> Ints:
        """Returns n canonical genomes [n, genes], each gene drawn uniformly from its choices."""
        return self.canonical(rng.integers(0, self.choice_counts, size=(n, len(self.genes))))

    def largest(self) -> Architecture:
        """The architecture with the last choice of every gene."""
        return self.architectures(self.choice_counts[None] - 1)[0]

    def smallest(self) -> Architecture:
        """The architecture with the first choice of every gene."""
        return self.architectures(np.zeros((1, len(self.genes)), dtype=np.int64))[0]

    def architectures(self, genomes: Ints) -> list[Architecture]:
        """Returns the architectures of genomes [n, genes], canonical."""
        return [self._architecture(row) for row in self.canonical(genomes).tolist()]

    def genomes(self, architectures: Sequence[Architecture]) -> Ints:
        """Returns canonical genomes [n, genes].

        Raises:
            InputError: an architecture of another space.
        """
        rows = []
        for architecture in architectures:
            if architecture.space != self.name:
                raise InputError(
                    f"architecture is of space '{architecture.space}', but '{self.name}' is in use"
                )
            groups = dict(architecture.values)
            rows.append([gene.choices.index(_pick(groups[gene.group], gene)) for gene in self.genes])
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.genes))

    def layers(self, architecture: Architecture) -> tuple[Layer, ...]:
        """Returns the chain of layers, in the order they run, named by their slots."""
        ids = self.layer_ids(self.genomes([architecture]))[0]
        return tuple(
            replace(self.vocabulary[row], name=slot)
            for slot, row in zip(self.slots, ids, strict=True)
            if row >= 0
        )

    def architecture(self, source: str | Mapping[str, Any]) -> Architecture:
        """Returns the architecture that a JSON text or its parsed form describes.

        Genes that depth switches off may hold any number. A `bits` entry is left alone.

        Raises:
            InputError: not JSON, another space, a gene that is missing, too long, too short or
                set to something that is not among its choices.
        """
        fields = json_object(source, "architecture") if isinstance(source, str) else source
        if fields.get("space", self.name) != self.name:
            raise InputError(f"architecture is of space '{fields['space']}', but '{self.name}' is in use")
        groups = {gene.group for gene in self.genes}
        extra = sorted(set(fields) - groups - {"space", "bits"})
        missing = sorted(groups - set(fields))
        if extra or missing:
            raise InputError(
                f"architecture of space '{self.name}' must have the fields {', '.join(sorted(groups))}; "
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(extra) or 'none'}"
            )
        self._check_lengths(fields)
        values = [_pick(fields[gene.group], gene) for gene in self.genes]
        known = [gene.find(value) for gene, value in zip(self.genes, values, strict=True)]
        genome = self.canonical(np.maximum(np.array([known], dtype=np.int64), 0))
        active = self.active_genes(genome)[0]
        for gene, value, index, used in zip(self.genes, values, known, active, strict=True):
            if used and index < 0:
                raise InputError(
                    f"architecture: {gene.name} must be one of {gene.choices}, but got {value!r}"
                )
        return self.architectures(genome)[0]

    def _check_lengths(self, fields: Mapping[str, Any]) -> None:
        for group in dict.fromkeys(gene.group for gene in self.genes):
            genes = [gene for gene in self.genes if gene.group == group]
            value = fields[group]
            if genes[0].index is None:
                if not _is_int(value):
                    raise InputError(f"architecture: {group} must be one number, but got {value!r}")
            elif not isinstance(value, list | tuple) or len(value) != len(genes):
                size = f"{len(value)} entries" if isinstance(value, list | tuple) else repr(value)
                raise InputError(
                    f"architecture: {group} must be a list of {len(genes)} numbers, but got {size}"
                )

    def _architecture(self, row: Sequence[int]) -> Architecture:
        groups: dict[str, Any] = {}
        for gene, index in zip(self.genes, row, strict=True):
            value = gene.choices[index]
            groups[gene.group] = value if gene.index is None else (*groups.get(gene.group, ()), value)
        return Architecture(self.name, tuple(groups.items()))


def uniform_architectures(space: Space) -> list[Architecture]:
    """Returns the deepest architectures with one choice of each group of genes throughout.

    Widths alternate between two choices, for each pair of them, so that each follows each. Where a
    gene has fewer choices than others of its group, its last one stands in.
    """
    genes = space.genes
    groups = np.array([gene.group for gene in genes])
    counts = np.array([len(gene.choices) for gene in genes])

    def most(group: str) -> range:
        return range(int(counts[groups == group].max(initial=1)))

    even = np.array([(gene.index or 0) % 2 == 0 for gene in genes])
    rows = []
    for size, one, other, kernel, expand in product(most("r"), most("w"), most("w"), most("ks"), most("e")):
        wanted = {"r": size, "ks": kernel, "e": expand}
        row = np.array([wanted.get(group, count - 1) for group, count in zip(groups, counts, strict=True)])
        row[groups == "w"] = np.where(even, one, other)[groups == "w"]
        rows.append(np.minimum(row, counts - 1))
    return list(dict.fromkeys(space.architectures(np.array(rows, dtype=np.int64))))


def _pick(value: Any, gene: Gene) -> Any:
    return value if gene.index is None else value[gene.index]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
