"""Side wing: papers, data sets and guidelines as data files with a typed reader."""

from radgen.catalog.checklists import (
    FACTS,
    Checklist,
    ChecklistItem,
    Fill,
    checklist,
    checklist_names,
)
from radgen.catalog.entries import DataSet, Paper, data_sets, papers

__all__ = [
    "FACTS",
    "Checklist",
    "ChecklistItem",
    "DataSet",
    "Fill",
    "Paper",
    "checklist",
    "checklist_names",
    "data_sets",
    "papers",
]
