"""Energy: meters that read it, the window in which a network is measured, and a model where none does."""
