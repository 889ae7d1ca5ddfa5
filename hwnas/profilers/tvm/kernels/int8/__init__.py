"""8-bit kernels."""
