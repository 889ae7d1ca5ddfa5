"""Measuring: the protocol, the worker process that times subjects by it, and the meter that drives one."""
