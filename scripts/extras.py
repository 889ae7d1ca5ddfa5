"""Prints what the base install and each extra weigh: megabytes on disk, CPU seconds to import.

python scripts/extras.py

Looks at the distributions installed beside the Python that runs it, so install what is to be looked at
first: `pip install -e ".[dev,browser,cross]"`. An extra's megabytes are those of distributions that the
base install does not bring; its import is that of what hwnas imports of it, beside torch where it needs
torch anyway.
"""

import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

# What hwnas, or its user, imports of each extra; and what is imported by then.
IMPORTS = {
    "augment": ("kornia.augmentation.auto", "torch"),
    "browser": ("playwright.sync_api", "sys"),
    "cross": ("ziglang", "sys"),
    "docs": ("mkdocs.commands.build", "sys"),
    "nvml": ("pynvml", "sys"),
    "ray": ("ray", "sys"),
    "rpc": ("tornado.ioloop", "sys"),
    "tensorboard": ("torch.utils.tensorboard", "torch"),
}
BASE = ("hwnas", "hwnas.cli.main", "torch", "tvm", "onnxruntime", "xgboost", "hwnas.search.loop")
_LARGEST = 5


def closure(name: str, extra: str = "") -> set[str]:
    """Returns the distributions that one needs, itself included, where they are installed."""
    found: set[str] = set()
    wanted = [(name, extra)]
    while wanted:
        one, its_extra = wanted.pop()
        try:
            needs = distribution(one).requires or []
        except PackageNotFoundError:
            continue
        found.add(_plain(one))
        for text in needs:
            need = Requirement(text)
            holds = need.marker is None or need.marker.evaluate({"extra": its_extra})
            if holds and _plain(need.name) not in found:
                wanted += [(need.name, own) for own in sorted(need.extras) or [""]]
    return found


def megabytes(names: set[str]) -> float:
    """Returns what the files of distributions weigh, 10^6 bytes."""
    files = {Path(str(file.locate())) for name in names for file in distribution(name).files or []}
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def import_cpu_s(module: str, after: str = "sys") -> float | None:
    """Returns the CPU seconds that importing adds in a fresh Python, least of three; None if it fails."""
    before, taken = [], []
    for _ in range(3):
        for code, found in ((f"import {after}", before), (f"import {after}, {module}", taken)):
            begun = _children_s()
            if subprocess.run([sys.executable, "-c", code], capture_output=True).returncode:
                return None
            found.append(_children_s() - begun)
    return min(taken) - min(before)


def main() -> None:
    """Prints the tables."""
    base = closure("hwnas")
    print("| imported | CPU s |\n|---|---|")
    for module in BASE:
        print(f"| `{module}` | {_figure(import_cpu_s(module))} |")
    print(f"\nbase install: {len(base)} distributions, {megabytes(base):.0f} MB, of which ", end="")
    heaviest = sorted(base, key=lambda name: -megabytes({name}))[:_LARGEST]
    print(", ".join(f"{name} {megabytes({name}):.0f}" for name in heaviest))
    print("\n| extra | further distributions | MB | import, CPU s |\n|---|---|---|---|")
    for extra, (module, after) in IMPORTS.items():
        own = closure("hwnas", extra) - base
        seconds = _figure(import_cpu_s(module, after))
        print(f"| `{extra}` | {len(own)} | {megabytes(own):.0f} | {seconds} (`{module}`) |")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figure(seconds: float | None) -> str:
    return "not installed" if seconds is None else f"{seconds:.2f}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    main()
