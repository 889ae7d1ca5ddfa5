"""Accelerators that are not here: models that price a layer from a description anyone can copy."""
