"""Hardware-aware neural architecture search that measures what it promises."""
