"""The page of a run, one self-contained HTML file, and its figures for papers."""

from hwnas.report.page import write_report
from hwnas.report.paper import write_figures

__all__ = ["write_figures", "write_report"]
