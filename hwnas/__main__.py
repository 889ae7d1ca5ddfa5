"""`python -m hwnas` is `hwnas`."""

from hwnas.cli.main import main

main()
