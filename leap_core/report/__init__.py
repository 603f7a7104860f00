"""The report of an experiment: one self-contained HTML file, made from plain records."""

from leap_core.report.model import (
    CorrectionCounts,
    EpisodeReport,
    IterationReport,
    ReportData,
    StageReport,
    StageState,
)
from leap_core.report.page import write_report

__all__ = [
    "CorrectionCounts",
    "EpisodeReport",
    "IterationReport",
    "ReportData",
    "StageReport",
    "StageState",
    "write_report",
]
