"""Floor 5: functional imaging - perfusion, diffusion, relaxation, uptake, resting-state fMRI."""

from radgen.functional._voxels import ParameterMaps
from radgen.functional.arterial import PopulationInput, bolus_arrival, population_input
from radgen.functional.artery import find_artery
from radgen.functional.dce import dce_maps, enhancement_maps
from radgen.functional.diffusion import (
    apparent_diffusion,
    diffusion_kurtosis,
    diffusion_tensor,
    incoherent_motion,
)
from radgen.functional.dsc import dsc_maps
from radgen.functional.enhancement import enhancement_traits
from radgen.functional.maps import DiffusionModel, diffusion_maps, t1_maps, vessel_size_maps
from radgen.functional.recipes import MadeMaps, Technique, maps_of_files
from radgen.functional.relaxation import concentration, spoiled_signal, variable_flip_t1
from radgen.functional.resting import (
    RegionCorrelation,
    cleaned_curves,
    fluctuation_amplitude,
    region_correlations,
    regional_homogeneity,
    resting_maps,
)
from radgen.functional.susceptibility import (
    Deconvolution,
    DeconvolutionMethod,
    LeakageFit,
    correct_leakage,
    deconvolve,
    relaxation_change,
)
from radgen.functional.tracer import TracerFit, TracerModel, fit_tracer, tissue_curve
from radgen.functional.uptake import ActiveRegion, UptakeRule, active_region
from radgen.functional.vessels import vessel_size

__all__ = [
    "ActiveRegion",
    "Deconvolution",
    "DeconvolutionMethod",
    "DiffusionModel",
    "LeakageFit",
    "MadeMaps",
    "ParameterMaps",
    "PopulationInput",
    "RegionCorrelation",
    "Technique",
    "TracerFit",
    "TracerModel",
    "UptakeRule",
    "active_region",
    "apparent_diffusion",
    "bolus_arrival",
    "cleaned_curves",
    "concentration",
    "correct_leakage",
    "dce_maps",
    "deconvolve",
    "diffusion_kurtosis",
    "diffusion_maps",
    "diffusion_tensor",
    "dsc_maps",
    "enhancement_maps",
    "enhancement_traits",
    "find_artery",
    "fit_tracer",
    "fluctuation_amplitude",
    "incoherent_motion",
    "maps_of_files",
    "population_input",
    "region_correlations",
    "regional_homogeneity",
    "relaxation_change",
    "resting_maps",
    "spoiled_signal",
    "t1_maps",
    "tissue_curve",
    "variable_flip_t1",
    "vessel_size",
    "vessel_size_maps",
]
