"""The report: one self-contained HTML page of runs, rounds, data and costs."""

from montessori.report.build import build

__all__ = ["build"]
