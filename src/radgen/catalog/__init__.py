"""Side wing: papers, data sets and guidelines as data files with a typed reader."""

from radgen.catalog.checklists import (
    FACTS,
    Checklist,
    ChecklistItem,
    Fill,
    checklist,
    checklist_names,
)

__all__ = ["FACTS", "Checklist", "ChecklistItem", "Fill", "checklist", "checklist_names"]
