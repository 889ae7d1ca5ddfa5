"""The command line inside the test's process, as in tests/cli."""

from tests.cli.conftest import hwnas

__all__ = ["hwnas"]
