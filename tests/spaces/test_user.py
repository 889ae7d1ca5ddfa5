"""Spaces that users define: what a YAML file gives, and what each mistake in it says."""

import contextlib
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.spaces import (
    Candidates,
    MobileNetRecipe,
    MobileNetSpace,
    get_space,
    open_space,
    space_names,
    space_of_definition,
    space_yaml,
)
from hwnas.spaces.yaml_text import parse_yaml, yaml_lines

MINIMAL = """\
name: mine
image_sizes: 32
stem: {width: 8}
stages:
  - width: 16
    depth: [1, 2]
    kernel: [3, 5]
    expand: [2, 3.5]
    stride: 2
head:
  width: 24
"""
MOBILENETS = [name for name in space_names() if isinstance(get_space(name), MobileNetSpace)]

widths = st.integers(1, 400)
activations = st.sampled_from(["relu", "relu6", "h_swish"])
some = {"min_size": 1, "max_size": 3, "unique": True}
ratios = st.one_of(st.integers(1, 8), st.floats(0.1, 8))
stages = st.fixed_dictionaries(
    {
        "width": st.one_of(widths, st.lists(widths, **some)),
        "depth": st.lists(st.integers(1, 4), **some),
        "kernel": st.lists(st.sampled_from([3, 5, 7]), **some),
        "expand": st.one_of(ratios, st.lists(ratios, **some)),
    },
    optional={"stride": st.sampled_from([1, 2]), "activation": activations, "se": st.booleans()},
)
parts = st.fixed_dictionaries({"width": widths}, optional={"activation": activations})
definitions = st.fixed_dictionaries(
    {
        "name": st.just("drawn"),
        "image_sizes": st.lists(st.integers(32, 300), **some),
        "stem": parts,
        "stages": st.lists(stages, min_size=1, max_size=3),
        "head": parts,
    },
    optional={
        "first": parts,
        "feature": parts,
        "tied": st.booleans(),
        "norm_eps": st.floats(1e-8, 0.1),
        "num_classes": st.integers(2, 1000),
    },
)


def written(folder: Path, text: str) -> str:
    path = folder / "my.yaml"
    path.write_text(text)
    return str(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        open_space(written(folder, text))
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{folder}/")


def test_a_file_gives_a_space(tmp_path: Path) -> None:
    space = open_space(written(tmp_path, MINIMAL))
    assert space.name == "mine"
    assert space.num_classes == 1000
    assert space.num_architectures == 4 + 4**2
    assert open_space(written(tmp_path, MINIMAL), 7).num_classes == 7
    assert space.definition == {
        "name": "mine",
        "image_sizes": 32,
        "stem": {"width": 8},
        "stages": [{"width": 16, "depth": [1, 2], "kernel": [3, 5], "expand": [2.0, 3.5], "stride": 2}],
        "head": {"width": 24},
    }


def test_a_name_is_opened_as_such() -> None:
    assert open_space("demo", 3).num_classes == 3
    with pytest.raises(InputError, match="did you mean 'demo'"):
        open_space("dmo")


def test_the_example_in_the_docs_is_a_space(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "spaces.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    space = open_space(written(tmp_path, example))
    given_fields = set(parse_yaml(example, "")[0])
    assert given_fields == set(MobileNetRecipe.model_fields)
    assert space.genes[-1].choices == (64, 96)
    (told,) = re.findall(r"hwnas: mine.yaml (line 11: .*)", text)
    assert refusal(tmp_path, example.replace("[3, 5] ", "[3, 4] ")) == f"my.yaml {told}"


@pytest.mark.parametrize("name", MOBILENETS)
def test_what_is_printed_is_the_space_itself_and_a_copy_under_another_name(name: str, tmp_path: Path) -> None:
    space = get_space(name)
    text = space_yaml(space)
    assert text.startswith(f"name: {name}\n")
    itself = open_space(written(tmp_path, text))
    assert (itself.key, itself.definition) == (name, None)
    copy = open_space(written(tmp_path, text.replace(name, "copy")))
    assert copy.key.startswith("copy-")
    assert copy.vocabulary == space.vocabulary
    assert copy.slots == space.slots
    assert copy.genes == space.genes
    assert (copy.norm_eps, copy.num_classes) == (space.norm_eps, space.num_classes)
    ends = [
        Candidates.of_architectures(s, [s.smallest(), s.largest()]).costs().macs.tolist()
        for s in (space, copy)
    ]
    assert ends[0] == ends[1]


def test_a_space_that_is_no_mobilenet_has_no_yaml() -> None:
    with pytest.raises(
        InputError, match="only MobileNet-style spaces have a YAML form, but got 'ofa-resnet50'"
    ):
        space_yaml(get_space("ofa-resnet50"))


@settings(deadline=None, max_examples=60)
@given(definition=definitions)
def test_definitions_survive_json_and_yaml(definition: dict[str, Any]) -> None:
    recipe = MobileNetRecipe.model_validate(definition)
    again = json.loads(json.dumps(recipe.model_dump(mode="json", exclude_defaults=True)))
    assert MobileNetRecipe.model_validate(again) == recipe
    whole = "\n".join(yaml_lines(recipe.model_dump(mode="json", exclude_none=True)))
    value, lines = parse_yaml(whole, "text")
    assert MobileNetRecipe.model_validate(value) == recipe
    assert lines["name",] == 1


@settings(deadline=None, max_examples=15)
@given(definition=definitions)
def test_the_space_of_its_own_definition_is_the_same(definition: dict[str, Any]) -> None:
    space = space_of_definition(definition, 5)
    again = space_of_definition(json.loads(json.dumps(space.definition)), 5)
    assert again.key == space.key
    assert again.definition == space.definition
    assert again.vocabulary == space.vocabulary
    assert again.num_architectures == space.num_architectures


def test_other_readers_of_yaml_read_the_same(tmp_path: Path) -> None:
    import yaml

    space = get_space("ofa-mobilenetv3-w1.0")
    assert isinstance(space, MobileNetSpace)
    read = yaml.safe_load(space_yaml(space))
    assert read["norm_eps"] == 1e-5
    assert MobileNetRecipe.model_validate(read) == space.recipe


def test_two_spaces_of_one_name_have_two_keys(tmp_path: Path) -> None:
    one = open_space(written(tmp_path, MINIMAL))
    other = open_space(written(tmp_path, MINIMAL.replace("16", "24")))
    comment = open_space(written(tmp_path, "# the same\n" + MINIMAL))
    assert one.name == other.name
    assert one.key != other.key
    assert one.key == comment.key
    assert one.smallest().to_json()["space"] == "mine"
    assert re.fullmatch(r"mine-[0-9a-f]{8}", one.key)


def test_a_space_goes_to_another_process() -> None:
    space = space_of_definition(parse_yaml(MINIMAL, "")[0])
    again = pickle.loads(pickle.dumps(space))
    assert again.key == space.key
    assert again.architectures(again.choice_counts[None] - 1) == [space.largest()]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "kernel: [3, 5]",
            "kernel: [3, 4]",
            "my.yaml line 7: stages[0].kernel must be an odd number from 3 to 31, but got 4; use 3, 5 or 7",
        ),
        ("width: 16", "width: 0", "line 5: stages[0].width must be a whole number of channels"),
        ("width: 16", "width: [16, 24, 16]", "must hold each choice once, and one at least, but got [16, 24"),
        ("width: 16", "width: []", "must hold each choice once, and one at least, but got []"),
        ("width: 16", "width: true", "but got true"),
        ("width: 16", "width: 16.0", "but got 16.0"),
        ("width: 16", "width: '16'", "but got '16'"),
        ("width: 16", "width: 0x10", "but got '0x10'"),
        ("width: 16", "width: [[16]]", "but got [16]"),
        ("width: 16", "width:", "but got None"),
        ("width: 16", f"width: {list(range(1, 40))}", "must hold at most 32 choices, but got 39"),
        ("depth: [1, 2]", "depth: 1000000", "line 6: stages[0].depth must be a whole number of blocks"),
        ("expand: [2, 3.5]", "expand: .nan", "line 8: stages[0].expand must be a ratio from 0.01 to 64"),
        ("expand: [2, 3.5]", "expand: -1", "but got -1"),
        ("stride: 2", "stride: 3", "line 9: stages[0].stride must be 1 or 2, but got 3"),
        ("stride: 2", "se: yes", "stages[0].se must be true or false, but got 'yes'"),
        ("stride: 2", "activation: swish", "must be relu, relu6 or h_swish, but got 'swish'"),
        (
            "stride: 2",
            "stide: 2",
            "stages[0].stide is no field: did you mean 'stride'? there are width, depth",
        ),
        ("    expand: [2, 3.5]\n", "", "line 5: stages[0] must have expand too"),
        ("head:\n  width: 24\n", "", "line 1: must have head too"),
        ("head:\n  width: 24\n", "head: 24\n", "head must be a mapping of the fields width, activation"),
        ("  width: 24\n", "  width: [24, 32]\n", "line 11: head.width must be one number, but got [24, 32]"),
        ("image_sizes: 32", "image_sizes: 3", "line 2: image_sizes must be at least 4, what the strides"),
        ("name: mine", "name: Mine", "line 1: name must be up to 64 of a-z"),
        ("name: mine", "name: ../mine", "name must be up to 64 of a-z"),
        ("name: mine", "name: demo", "line 1: name 'demo' is the name of another space already; choose"),
        ("name: mine", "name: 7", "but got 7"),
    ],
)
def test_each_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in MINIMAL
    assert says in refusal(tmp_path, MINIMAL.replace(old, new, 1))


def test_the_first_few_mistakes_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = MINIMAL.replace("8}", "0}").replace("[3, 5]", "4").replace("stride: 2", "x: 1\n    y: 2")
    assert [part.split(":")[0] for part in refusal(tmp_path, text).split("; ")] == [
        "my.yaml line 3",
        "use 24, or a list such as [24, 32]",
        "line 7",
        "use 3, 5 or 7",
        "line 9",
        "and 1 more",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "my.yaml is empty; `hwnas spaces demo --yaml` prints one to start from"),
        ("# nothing\n", "is empty"),
        ("just words", "line 1: must be a mapping of the fields name, image_sizes"),
        ("- 1\n- 2\n", "line 1: must be a mapping"),
        ("stages: 5", "line 1: stages must be a list of stages, but got int"),
        ("stages: [5]", "stages[0] must be a mapping of the fields width, depth, kernel"),
        ("stages: []", "line 1"),
        ("name: a\nname: b", "line 2: 'name' is given twice, first in line 1; leave out one"),
        ("name: &a x\nhead: *a", "line 1: anchors (&) and aliases (*) are not read"),
        ("name: *a", "line 1: anchors (&) and aliases (*) are not read"),
        ("name: !!python/object/apply:os.system [ls]", "line 1: tags such as"),
        ("!!map {name: x}", "line 1: tags such as"),
        ("name: a\n---\nname: b", "line 2: a second document begins"),
        ("[" * 100_000, "is nested more than 6 deep"),
        ("a: {b: {c: {d: {e: {f: {g: 1}}}}}}", "line 1: is nested more than 6 deep"),
        ("name: [1, 2", "is not valid YAML"),
        ("name: a\n\tstem: b", "line 2 is not valid YAML"),
        ("a: 1\nb: \x07", "line 2 is not text"),
        ("? [a, b]\n: 1", "line 1: a field's name must be one word"),
        ("a: 1\n" * 250_000, "at most 1048576 bytes"),
        ("".join(f"a{i}: 1\n" for i in range(20_000)), "has more than 20,000 entries"),
        ("name: " + "9" * 10_000, "line 1: name must be up to 64 of a-z"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    message = refusal(tmp_path, text)
    assert says in message
    assert len(message) < 1000


def test_spaces_of_too_many_layers_are_refused_before_they_are_built(tmp_path: Path) -> None:
    wide = MINIMAL.replace("width: 16", f"width: {list(range(8, 40))}").replace(
        "depth: [1, 2]", f"depth: {list(range(1, 33))}"
    )
    many = wide.replace("[2, 3.5]", f"{[n / 10 for n in range(10, 42)]}").replace(
        "image_sizes: 32", f"image_sizes: {list(range(32, 160))}"
    )
    assert "stages must combine to at most 200,000 different layers" in refusal(tmp_path, many)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read space file .*none.yaml: No such file"):
        open_space(str(tmp_path / "none.yaml"))
    (tmp_path / "folder.yml").mkdir()
    with pytest.raises(InputError, match=r"cannot read space file .*Is a directory"):
        open_space(str(tmp_path / "folder.yml"))
    (tmp_path / "bytes.yaml").write_bytes(b"name: a\n\xff\xfe\x80")
    with pytest.raises(InputError, match="line 2 is not UTF-8 text"):
        open_space(str(tmp_path / "bytes.yaml"))


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, MINIMAL.replace("mine", text, 1), MINIMAL.replace("16", text, 1)):
        with contextlib.suppress(InputError):
            value, _ = parse_yaml(candidate, "text")
            space_of_definition(value)


@pytest.mark.parametrize("definition", [None, [], "demo", {}, {"name": "x", "stages": None}, {1: 2}])
def test_definitions_that_are_none_are_refused(definition: Any) -> None:
    with pytest.raises(InputError, match="the space's definition"):
        space_of_definition(definition)


def test_fewer_than_two_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 2 classes, but got 1"):
        open_space(written(tmp_path, MINIMAL), 1)


def test_spaces_load_neither_torch_nor_yaml() -> None:
    code = "import sys, hwnas.spaces as s; s.get_space('demo'); print({'torch', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
