"""What another package adds to hwnas: see pyproject.toml for how it is found."""
