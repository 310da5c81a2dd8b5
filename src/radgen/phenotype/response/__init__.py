"""Response to treatment: RECIST 1.1 and iRECIST from lesions, change of phenotypes."""

from __future__ import annotations

from radgen.phenotype.response.assess import LESION_COLUMNS, ResponseResult, assess_response
from radgen.phenotype.response.change import phenotype_change, real_change
from radgen.phenotype.response.measured import (
    MEASURED_COLUMNS,
    MeasuredLesions,
    measure_lesions,
)
from radgen.phenotype.response.rules import (
    RESPONSES,
    STATES,
    non_target_response,
    overall_response,
    target_response,
)
from radgen.phenotype.response.sequence import Visit, best_response, immune_responses

__all__ = [
    "LESION_COLUMNS",
    "MEASURED_COLUMNS",
    "RESPONSES",
    "STATES",
    "MeasuredLesions",
    "ResponseResult",
    "Visit",
    "assess_response",
    "best_response",
    "immune_responses",
    "measure_lesions",
    "non_target_response",
    "overall_response",
    "phenotype_change",
    "real_change",
    "target_response",
]
