"""This machine: what it tells about itself, where it can run networks, and where it keeps things."""
