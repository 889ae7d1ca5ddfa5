"""The command line; `hwnas.cli.main` is where it starts."""
