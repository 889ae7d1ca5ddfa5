"""A space of one's own: `hwnas spaces sample-net`."""

from hwnas.spaces import Space
from hwnas.spaces.mobilenet import MobileNetSpace
from hwnas.spaces.mobilenet_recipe import MobileNetRecipe, Part, Stage


def sample_net(num_classes: int | None) -> Space:
    """Returns a space of two stages for small images; None takes ten classes."""
    recipe = MobileNetRecipe(
        name="sample-net",
        image_sizes=(16, 24),
        stem=Part(width=(8,)),
        stages=(
            Stage(width=(16,), depth=(1, 2), kernel=(3, 5), expand=(2, 4), stride=2),
            Stage(width=(24,), depth=(1, 2), kernel=(3, 5), expand=(2, 4), stride=2, se=True),
        ),
        head=Part(width=(48,)),
        num_classes=10,
    )
    return MobileNetSpace(recipe, num_classes)
