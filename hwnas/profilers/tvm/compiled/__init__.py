"""Compiled kernels, and networks that are linked from them."""
