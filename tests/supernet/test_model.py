import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas.errors import InputError
from hwnas.spaces import Candidates, MobileNetRecipe, MobileNetSpace, Part, Space, Stage, get_space
from tests.supernet.conftest import TINY, telling

# Every width is elastic, and both blocks of a stage share their genes.
WIDE = MobileNetRecipe(
    name="wide",
    image_sizes=(16, 24),
    stem=Part(width=(8, 16)),
    first=Part(width=(8,)),
    stages=(
        Stage(width=(16, 24), depth=(1, 2), kernel=(3, 5), expand=(1, 2), stride=2, se=True),
        Stage(width=(16, 24), depth=(1, 2), kernel=(3, 5), expand=(2, 3), activation="h_swish"),
    ),
    head=Part(width=(24,)),
    feature=Part(width=(16, 24)),
    tied=True,
)
SPACES: dict[str, tuple[Space, int]] = {
    "tiny": (MobileNetSpace(TINY, num_classes=3), 20),
    "wide": (MobileNetSpace(WIDE, num_classes=3), 20),
    "demo": (get_space("demo"), 32),
    "ofa": (get_space("ofa-mobilenetv3-w1.0"), 32),
    "proxyless": (get_space("ofa-proxyless-w1.3", 10), 32),
    "resnet": (get_space("ofa-resnet50", 10), 34),
    "bignas": (get_space("bignas-mobilenetv3", 10), 32),
}
SUPERNETS = {name: telling(space) for name, (space, _) in SPACES.items()}
PLAIN = {nn.Conv2d, nn.BatchNorm2d, nn.Linear}


def drawn(name: str, seed: int):
    return SPACES[name][0].sample(1, np.random.default_rng(seed))[0]


def agrees_with_its_subnets(name: str, seed: int) -> None:
    supernet, architecture = SUPERNETS[name], drawn(name, seed)
    size_px = SPACES[name][1]
    x = torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        expected = supernet(x, architecture)
        found = supernet.extract(architecture)(x)
    assert (found - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@given(seed=st.integers(0, 10**6), name=st.sampled_from(("tiny", "wide")))
@settings(max_examples=25, deadline=None)
def test_a_tiny_supernet_equals_its_subnets(name: str, seed: int) -> None:
    agrees_with_its_subnets(name, seed)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_demo_supernet_equals_its_subnets(seed: int) -> None:
    agrees_with_its_subnets("demo", seed)


@pytest.mark.parametrize("name", ["ofa", "proxyless", "resnet", "bignas"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_large_supernets_equal_their_subnets(name: str, seed: int) -> None:
    agrees_with_its_subnets(name, seed)


def test_ofa_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in SUPERNETS["ofa"].parameters()) == 7_678_880


@pytest.mark.parametrize("name", list(SPACES))
def test_subnets_have_the_parameters_that_costs_say(name: str) -> None:
    space = SPACES[name][0]
    for architecture in (space.largest(), space.smallest(), drawn(name, 3)):
        subnet = SUPERNETS[name].extract(architecture)
        costs = Candidates.of_architectures(space, [architecture]).costs()
        assert sum(p.numel() for p in subnet.parameters()) == costs.params[0]


def test_a_subnet_is_made_of_plain_modules_named_by_the_chain() -> None:
    subnet = SUPERNETS["demo"].extract(SPACES["demo"][0].largest())
    modules = dict(subnet.named_modules())
    assert isinstance(modules["stem.conv"], nn.Conv2d)
    assert isinstance(modules["stages.0.1.expand"], nn.Conv2d)
    assert isinstance(modules["stages.0.1.expand_norm"], nn.BatchNorm2d)
    assert isinstance(modules["stages.1.0.se_reduce"], nn.Conv2d)
    assert isinstance(modules["classifier.linear"], nn.Linear)
    weighty = {type(m) for m in modules.values() if list(m.parameters(recurse=False))}
    assert weighty == PLAIN
    assert not any("elastic" in type(m).__module__ for m in modules.values())


def test_a_subnet_shares_no_weights_with_its_supernet(space) -> None:
    supernet = telling(space)
    before = supernet.digest()
    subnet = supernet.extract(space.largest())
    assert all(p.requires_grad for p in subnet.parameters())
    with torch.no_grad():
        for tensor in subnet.state_dict().values():
            tensor.zero_()
    assert supernet.digest() == before


def test_a_forward_pass_leaves_nothing_behind(space) -> None:
    supernet = telling(space)
    before, state = supernet.digest(), repr(sorted(vars(supernet)))
    for architecture in space.sample(4, np.random.default_rng(0)):
        supernet(torch.randn(2, 3, 16, 16), architecture)
    assert supernet.digest() == before
    assert repr(sorted(vars(supernet))) == state


@pytest.mark.parametrize("name", ["tiny", "wide", "resnet"])
def test_training_leaves_no_state_that_depends_on_the_last_architecture(name: str) -> None:
    """A copy that knows the weights alone answers as the one that was trained."""
    space = SPACES[name][0]
    supernet = telling(space).train()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.01)
    x = torch.randn(4, 3, 34, 34)
    for architecture in space.sample(3, np.random.default_rng(1)):
        supernet(x, architecture).sum().backward()
    optimizer.step()
    supernet(x, space.smallest())
    copy = telling(space, seed=9)
    copy.load_state_dict(supernet.state_dict())
    supernet.eval()
    with torch.no_grad():
        for architecture in (space.largest(), space.smallest(), *space.sample(3, np.random.default_rng(2))):
            assert torch.equal(copy(x, architecture), supernet(x, architecture))


def test_the_same_generator_gives_the_same_weights(space) -> None:
    assert telling(space, 4).digest() == telling(space, 4).digest() != telling(space, 5).digest()


def test_an_architecture_of_another_space_is_refused() -> None:
    with pytest.raises(InputError, match="space 'demo', but the supernet's is 'ofa"):
        SUPERNETS["ofa"].extract(SPACES["demo"][0].largest())
    with pytest.raises(InputError, match="of space 'demo'"):
        SUPERNETS["ofa"](torch.zeros(1, 3, 32, 32), SPACES["demo"][0].largest())
