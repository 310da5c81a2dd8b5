"""Floor 9: results to one self-contained HTML report."""

from radgen.report import associations as _associations
from radgen.report import gene_sides as _gene_sides
from radgen.report import genetics as _genetics
from radgen.report import models as _models
from radgen.report import predictions as _predictions
from radgen.report.blocks import Block, Figure, Notes, Prose, Row, Table
from radgen.report.checklist import Answer, Filled, Score, fill_checklist
from radgen.report.input import FLOW_COLUMNS, ReportInput, Scan, Section
from radgen.report.page import write_report
from radgen.report.sections import RENDERERS, render
from radgen.report.thumbnail import thumbnail

# Imported for their renderers, which they register.
_RENDERER_MODULES = (_associations, _gene_sides, _genetics, _models, _predictions)

__all__ = [
    "FLOW_COLUMNS",
    "RENDERERS",
    "Answer",
    "Block",
    "Figure",
    "Filled",
    "Notes",
    "Prose",
    "ReportInput",
    "Row",
    "Scan",
    "Score",
    "Section",
    "Table",
    "fill_checklist",
    "render",
    "thumbnail",
    "write_report",
]
