"""Floor 4: studies with a known truth, for tests, teaching and power analysis."""

from radgen.sim.clones import ClonalTumour, simulate_clones
from radgen.sim.cohort import Cohort, CohortSettings, PlantedEffect, simulate_cohort
from radgen.sim.genotypes import simulate_genotypes
from radgen.sim.linked_blocks import LinkedBlocks, simulate_linked_blocks
from radgen.sim.molecules import simulate_expression, simulate_mutations
from radgen.sim.outcomes import simulate_response, simulate_survival
from radgen.sim.scans import Scanner, simulate_scan
from radgen.sim.write import write_plink

__all__ = [
    "ClonalTumour",
    "Cohort",
    "CohortSettings",
    "LinkedBlocks",
    "PlantedEffect",
    "Scanner",
    "simulate_clones",
    "simulate_cohort",
    "simulate_expression",
    "simulate_genotypes",
    "simulate_linked_blocks",
    "simulate_mutations",
    "simulate_response",
    "simulate_scan",
    "simulate_survival",
    "write_plink",
]
