import pytest

from hwnas.spaces import Space, get_space


@pytest.fixture(scope="package")
def demo() -> Space:
    return get_space("demo")


@pytest.fixture(scope="package")
def ofa() -> Space:
    return get_space("ofa-mobilenetv3-w1.0")


@pytest.fixture(scope="package", params=["ofa-resnet50", "bignas-mobilenetv3", "ofa-proxyless-w1.3"])
def real(request: pytest.FixtureRequest) -> Space:
    """Each of the spaces at ImageNet's scale that has something the demo space lacks."""
    return get_space(request.param)
