"""Response to treatment: RECIST and its kin, RANO, PERCIST; change of phenotypes."""

from __future__ import annotations

from radgen.phenotype.response.assess import LESION_COLUMNS, ResponseResult, assess_response
from radgen.phenotype.response.change import phenotype_change, real_change
from radgen.phenotype.response.criteria import ResponseCriteria, assess_by
from radgen.phenotype.response.glioma import (
    GLIOMA_COLUMNS,
    GLIOMA_VISIT_COLUMNS,
    GliomaResponse,
    assess_glioma_response,
    glioma_response,
)
from radgen.phenotype.response.glioma2 import GliomaResponse2, assess_glioma_response_2
from radgen.phenotype.response.glioma2_visits import joint_response
from radgen.phenotype.response.measured import (
    MEASURED_COLUMNS,
    MeasuredLesions,
    joined_lesions,
    measure_lesions,
)
from radgen.phenotype.response.metabolic import (
    METABOLIC_COLUMNS,
    METABOLIC_RESPONSES,
    MetabolicResponse,
    assess_metabolic_response,
    metabolic_response,
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
    "GLIOMA_COLUMNS",
    "GLIOMA_VISIT_COLUMNS",
    "LESION_COLUMNS",
    "MEASURED_COLUMNS",
    "METABOLIC_COLUMNS",
    "METABOLIC_RESPONSES",
    "RESPONSES",
    "STATES",
    "GliomaResponse",
    "GliomaResponse2",
    "MeasuredLesions",
    "MetabolicResponse",
    "ResponseCriteria",
    "ResponseResult",
    "Visit",
    "assess_by",
    "assess_glioma_response",
    "assess_glioma_response_2",
    "assess_metabolic_response",
    "assess_response",
    "best_response",
    "glioma_response",
    "immune_responses",
    "joined_lesions",
    "joint_response",
    "measure_lesions",
    "metabolic_response",
    "non_target_response",
    "overall_response",
    "phenotype_change",
    "real_change",
    "target_response",
]
