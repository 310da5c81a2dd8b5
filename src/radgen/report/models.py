"""Sections of what surrounds a prediction: targets, nested models, cuts, treatment, response."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from radgen.report.blocks import Block, Table
from radgen.report.sections import RENDERERS, closing, figures, opening, side_by_side
from radgen.types import Result

__all__ = ["render_with_tables"]

_CAPTIONS: Mapping[str, Mapping[str, str]] = {
    "targets": {
        "models": "All models of all targets",
        "differences": "Paired differences between models of each target",
    },
    "learning_curve": {},
    "nested_models": {
        "reclassification": "Net reclassification, which can be positive for useless markers",
    },
    "cutpoints": {},
    "combinations": {"validation": "What each training set of the validation found"},
    "treatment_effects": {},
    "treatment_rule": {
        "curve": "Counterfactual gain of treating a share of the patients",
        "benefits": "Expected benefit of each sample, out of fold",
    },
    "competing_risks": {
        "tests": "Gray's tests between groups",
        "regression": "Effects on the incidence (Fine–Gray) and on the rate (Cox) of each cause",
        "curves": "Cumulative incidence",
    },
    "risk_groups": {"tests": "Tests between the groups, a row a repeat"},
    "biopsies": {"schemes": "Leaving out a patient, and a biopsy alone"},
    "response": {"visits": "Every visit after baseline, and the reason of its response"},
    "commonality": {"subsets": "Explained share of the model of each set of tables"},
    "categories": {"confusion": "Measured against predicted category"},
}


def render_with_tables(result: Result) -> tuple[Block, ...]:
    """Return findings, figures, the main table and the side tables of a result."""
    blocks: list[Block] = [*opening(result), *side_by_side(figures(result)), *closing(result)]
    for name, caption in _CAPTIONS.get(result.kind, {}).items():
        frame = getattr(result, name, None)
        if isinstance(frame, pl.DataFrame) and frame.height:
            blocks.append(Table(caption, frame))
    return tuple(blocks)


for _kind in _CAPTIONS:
    RENDERERS.add(_kind, render_with_tables)
