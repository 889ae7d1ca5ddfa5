"""Trees from outside: xgboost follows the numbers of its JSON without looking, so they are looked at first.

A child that is no node, a column that is not there or two nodes that lead to each other would read memory
that is not the trees', or go on for ever.
"""

import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.files import parse_json

_NODES = {
    "children": ("left_children", "right_children"),
    "whole": ("parents", "split_indices", "default_left", "split_type"),
    "figures": ("base_weights", "loss_changes", "split_conditions", "sum_hessian"),
}
_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_MOST_TREES, _MOST_NODES = 10_000, 2**20
_BASE = re.compile(r"\[?-?[0-9]+(\.[0-9]+)?(E-?[0-9]{1,2})?\]?")


def checked_trees(text: str, num_columns: int) -> str:
    """Returns xgboost's JSON of a regression by trees, written anew from what was found sound.

    Args:
        text: as `Booster.save_raw("json")` gave it.
        num_columns: that candidates are described by.

    Raises:
        KeyError, TypeError, ValueError: anything else, or trees that do not end within themselves.
    """
    value = parse_json(text)
    learner = value["learner"]
    grown, about = learner["gradient_booster"], learner["learner_model_param"]
    _require(set(value) == {"learner", "version"}, "it has other parts")
    _require(
        set(learner)
        == {"attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param"}
        | {"objective"},
        "its learner has other parts",
    )
    _require(
        not any(learner[name] for name in ("attributes", "feature_names", "feature_types")), "it has names"
    )
    _require(
        learner["objective"] == {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}
        and (grown["name"], about["num_class"], about["num_target"]) == ("gbtree", "0", "1")
        and about["num_feature"] == str(num_columns)
        and set(about) <= {"base_score", "boost_from_average", "num_class", "num_feature", "num_target"}
        and about.get("boost_from_average", "1") in ("0", "1")
        and _BASE.fullmatch(about["base_score"]) is not None,
        "it is no regression on these columns",
    )
    _check_model(grown["model"], num_columns)
    _require(set(grown) == {"model", "name"}, "its booster has other parts")
    version = value["version"]
    _require(
        len(version) == 3 and all(type(one) is int and 0 <= one < 1000 for one in version), "its version"
    )
    return json.dumps(value)


def _check_model(model: dict[str, Any], num_columns: int) -> None:
    trees = model["trees"]
    _require(isinstance(trees, list) and 0 < len(trees) <= _MOST_TREES, "it has no trees, or too many")
    wanted = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
        "iteration_indptr": list(range(len(trees) + 1)),
        "tree_info": [0] * len(trees),
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
    }
    found = {name: part for name, part in model.items() if name != "trees"}
    # Versions before 3.1 know no `cats`. As text, since True and 0.0 are equal to whole numbers.
    _require(
        json.dumps({"cats": wanted["cats"], **found}, sort_keys=True) == json.dumps(wanted, sort_keys=True),
        "its counts do not fit its trees",
    )
    for number, tree in enumerate(trees):
        _check_tree(tree, number, num_columns)


def _check_tree(tree: dict[str, Any], number: int, num_columns: int) -> None:
    count = len(tree["left_children"])
    _require(0 < count <= _MOST_NODES, f"tree {number} has no nodes, or too many")
    lists = {name: _array(tree[name], name, count, kind) for kind, names in _NODES.items() for name in names}
    others = {name: part for name, part in tree.items() if name not in lists}
    sizes = {"num_deleted": "0", "num_feature": str(num_columns), "num_nodes": str(count)}
    leaves = others["tree_param"].get("size_leaf_vector")
    wanted = {
        **{name: [] for name in _CATEGORIES},
        "id": number,
        "tree_param": {**sizes, "size_leaf_vector": leaves},
    }
    _require(
        json.dumps(others, sort_keys=True) == json.dumps(wanted, sort_keys=True), f"parts of tree {number}"
    )
    _require(leaves in ("0", "1"), f"leaves of tree {number}")
    left, right = lists["left_children"], lists["right_children"]
    _require(bool(((left < 0) == (right < 0)).all()), f"a node of tree {number} has one child")
    inner = np.flatnonzero(left >= 0)
    # Each node but the root is the child of one, which stands before it: so every way ends.
    children = np.concatenate([left[inner], right[inner]])
    _require(
        np.array_equal(np.sort(children), np.arange(1, count))
        and bool((left[inner] > inner).all() and (right[inner] > inner).all()),
        f"the nodes of tree {number} are no tree",
    )
    parents = np.full(count, 2**31 - 1)
    parents[left[inner]] = parents[right[inner]] = inner
    columns = lists["split_indices"]
    _require(
        np.array_equal(parents, lists["parents"])
        and bool(((columns >= 0) & (columns < num_columns)).all())
        and not lists["split_type"].any()
        and set(lists["default_left"].tolist()) <= {0, 1},
        f"a node of tree {number} splits by what is not there",
    )


def _array(values: Any, name: str, count: int, kind: str) -> NDArray[Any]:
    allowed: tuple[type, ...] = (int, float) if kind == "figures" else (int,)
    _require(
        isinstance(values, list) and len(values) == count and all(type(one) in allowed for one in values),
        f"{name} must be {count} numbers",
    )
    array = np.array(values, dtype=np.float64)
    # Whole numbers of 32 bits, or what does not overflow a single float.
    _require(bool((np.abs(array) < (1e38 if kind == "figures" else 2**31)).all()), f"{name} are too large")
    return array if kind == "figures" else array.astype(np.int64)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"the trees are not ours: {otherwise}")
