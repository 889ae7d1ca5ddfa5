"""Kernels: which ones a space needs, what they compute, and how they are scheduled."""
