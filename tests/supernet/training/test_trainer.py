"""What the knobs of a recipe do to a run."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data.dataset import part_of
from hwnas.errors import InputError, UnavailableError
from hwnas.spaces import Candidates, get_space
from hwnas.supernet import (
    Alone,
    Attentive,
    Fair,
    Phase,
    ProgressiveShrinking,
    Sandwich,
    Supernet,
    Survey,
    TrainRecipe,
    preset,
    train,
)
from hwnas.supernet.training.board import Board
from hwnas.supernet.training.distributed import ONE_PROCESS
from hwnas.supernet.training.dropout import Dropout
from hwnas.supernet.training.survey import Surveyed, fit_accuracy, make_survey
from hwnas.supernet.training.trainer import Trainer

RECIPE = TrainRecipe(
    epochs=2, batch_size=16, optimizer="adamw", learning_rate=5e-3, sampling=Sandwich(num_random=1)
)


def trained(space, dataset, recipe, steps: int = 3) -> Trainer:
    trainer = Trainer(space, dataset, recipe)
    for _ in range(steps):
        trainer.advance()
    return trainer


def transforms(supernet: Supernet) -> list[torch.Tensor]:
    return [p.detach() for name, p in supernet.named_parameters() if ".transforms." in name]


def test_kernel_transforms_have_a_rate_and_decay_of_their_own(space, dataset) -> None:
    eyes = [torch.eye(len(matrix)) for matrix in transforms(Supernet(space))]
    frozen = transforms(trained(space, dataset, replace(RECIPE, transform_rate=0.0)).supernet)
    assert all(torch.equal(matrix, eye) for matrix, eye in zip(frozen, eyes, strict=True))
    moves = [
        sum(float((m - eye).norm()) for m, eye in zip(transforms(one.supernet), eyes, strict=True))
        for one in (trained(space, dataset, replace(RECIPE, transform_rate=rate)) for rate in (0.1, 1.0))
    ]
    assert 0 < 5 * moves[0] < moves[1]
    plain, decayed = (
        transforms(trained(space, dataset, replace(RECIPE, transform_decay=decay)).supernet)
        for decay in (0.0, 10.0)
    )
    assert sum(float(m.trace()) for m in decayed) < sum(float(m.trace()) for m in plain)


def test_distillation_mixes_teacher_and_labels(space, dataset) -> None:
    digests = {
        trained(space, dataset, replace(RECIPE, distillation=share)).supernet.digest()
        for share in (0.0, 0.5, 1.0)
    }
    assert len(digests) == 3


def test_weights_of_students_count(space, dataset) -> None:
    light, heavy = (
        trained(space, dataset, replace(RECIPE, sampling=Sandwich(1, weight), gradient_clip=None)).supernet
        for weight in (0.1, 1.0)
    )
    assert light.digest() != heavy.digest()


def test_training_in_half_precision_stays_near(space, dataset) -> None:
    full = [trained(space, dataset, replace(RECIPE, precision=name), 8) for name in ("fp32", "bf16")]
    losses = [one.advance() for one in full]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)
    assert all(p.dtype == torch.float32 for p in full[1].supernet.parameters())


def test_phases_follow_each_other(space, dataset) -> None:
    shrink = Phase(
        name="kernel",
        epochs=1,
        learning_rate=1e-3,
        sampling=ProgressiveShrinking(2, {"ks": 2}),
        sort_channels=1,
    )
    recipe = replace(RECIPE, epochs=1, sampling=Alone(), then=(shrink, replace(shrink, name="again")))
    trainer = Trainer(space, dataset, recipe)
    assert (trainer.steps, trainer.steps_per_epoch) == (18, 6)
    names = [trainer.phase_at(step)[0].name for step in (0, 5, 6, 11, 12, 17)]
    assert names == ["alone", "alone", "kernel", "kernel", "again", "again"]
    while trainer.step < 6:
        trainer.advance()
    assert trainer.teacher is None
    largest, x = space.largest(), torch.randn(4, 3, 24, 24)
    before = trainer.trained()(x, largest)
    trainer.advance()
    assert trainer.teacher is not None
    teacher = trainer.teacher.state_dict()
    kept = {name: tensor.clone() for name, tensor in teacher.items()}
    torch.testing.assert_close(trainer.teacher.eval()(x, largest), before)
    trainer.teacher.train()
    while trainer.step < trainer.steps:
        trainer.advance()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in teacher.items())
    assert trainer.optimizer.param_groups[0]["lr"] < 1e-3


def test_sorting_leaves_the_largest_network_as_it_was(space, dataset) -> None:
    trainer = trained(space, dataset, replace(RECIPE, ema_decay=0.5))
    x = torch.randn(4, 3, 24, 24)
    before = trainer.trained()(x, space.largest())
    phase = Phase(name="any", epochs=1, learning_rate=1e-3, sampling=Sandwich(), sort_channels=1)
    trainer._begin(phase)
    torch.testing.assert_close(trainer.trained()(x, space.largest()), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["progressive", "attentive", "fair"])
def test_every_preset_learns(space, dataset, name: str) -> None:
    rate = 0.4 if name == "progressive" else None
    recipe = replace(preset(name, space, 8, rate), batch_size=16)
    if name == "attentive":
        recipe = replace(recipe, sampling=Attentive(survey=Survey(networks=6, images=32)))
    trainer = Trainer(space, dataset, recipe)
    losses = [trainer.advance() for _ in range(trainer.steps)]
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])


def test_a_survey_is_made_at_its_time_of_the_calibrate_split_alone(space, dataset) -> None:
    asked: list[str] = []

    def make_split(name: str):
        asked.append(name)
        return dataset.split(name)

    recipe = replace(RECIPE, sampling=Attentive(survey=Survey(start=0.5, networks=5, images=30)))
    trainer = Trainer(space, replace(dataset, make_split=make_split), recipe)
    while trainer.step < 6:  # of 12
        trainer.advance()
        assert trainer.surveyed is None
    trainer.advance()
    assert trainer.surveyed is not None
    assert set(asked) == {"train", "calibrate"}
    assert len(trainer.surveyed.genomes) == len(trainer.surveyed.accuracies) == 5
    assert {round(a * 15 / 100, 6) % 1 for a in trainer.surveyed.accuracies} == {0.0}  # half of 30 images


def test_a_survey_keeps_its_figures_as_json(space, dataset) -> None:
    survey = Survey(networks=8, images=40)
    found = make_survey(survey, Supernet(space).eval(), dataset, np.random.default_rng(0), ONE_PROCESS, "cpu")
    again = Surveyed.of_json(found.to_json())
    assert again == found
    predictors = [fit_accuracy(space, one) for one in (found, again)]
    some = Candidates.of_architectures(space, space.sample(5, np.random.default_rng(1)))
    np.testing.assert_array_equal(predictors[0](some), predictors[1](some))


def test_too_few_images_for_a_survey_are_told(space, dataset) -> None:
    few = replace(
        dataset, make_split=lambda name: dataset.split(name) if name == "train" else _none(dataset, name)
    )
    with pytest.raises(InputError, match="needs at least 4 images in the calibrate split"):
        trained(space, few, replace(RECIPE, sampling=Attentive(survey=Survey(start=0.0))), 1)


def _none(dataset, name: str):
    return part_of(dataset.split(name), np.arange(3))


def test_fair_sampling_that_is_too_much_is_told_at_once(dataset) -> None:
    space = get_space("bignas-mobilenetv3", 3)
    recipe = replace(RECIPE, sampling=Fair(most_networks=2))
    with pytest.raises(InputError, match="needs 12 networks a step"):
        trained(space, dataset, recipe, 1)


def test_dropout_drops_its_share_and_grows_the_rest(space) -> None:
    supernet = Supernet(space)
    dropout = Dropout(supernet, 0.25)
    (classifier,) = [supernet.get_submodule("classifier").linear]
    seen: list[torch.Tensor] = []
    classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    layer = space.layers(space.largest())[-1]
    x = torch.ones(200, layer.in_channels, 1, 1)
    for rank in (0, 1):
        dropout.begin(torch.Generator().manual_seed(0), rank, 2)
        classifier(x, layer.ops[0])
    dropout.begin(torch.Generator().manual_seed(0), 0, 1)
    classifier(torch.ones(400, layer.in_channels, 1, 1), layer.ops[0])
    assert seen[0].unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert 0.2 < (seen[0] == 0).float().mean() < 0.3
    assert torch.equal(torch.cat(seen[:2]), seen[2])


def test_tensorboard_gets_every_step_and_the_final_figures(space, dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = tmp_path / "board"
    train(space, dataset, replace(RECIPE, epochs=1), tmp_path / "net.safetensors", tensorboard=board)
    events = EventAccumulator(str(board)).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 7))
    assert events.Scalars("learning_rate")[0].value > 0
    assert events.Scalars("accuracy_top1_largest")[0].step == 6


def test_without_tensorboard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UnavailableError, match=r'pip install "hwnas\[tensorboard\]"'):
        Board(tmp_path, 0)
