import pytest

from hwnas.spaces import Space, get_space


@pytest.fixture(scope="package")
def demo() -> Space:
    return get_space("demo")


@pytest.fixture(scope="package")
def ofa() -> Space:
    return get_space("ofa-mobilenetv3-w1.0")
