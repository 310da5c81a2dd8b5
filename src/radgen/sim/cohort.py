"""A whole radiogenomic cohort with a known truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.rng import spawn
from radgen.errors import InputError
from radgen.sim.genotypes import simulate_genotypes
from radgen.sim.molecules import simulate_expression, simulate_mutations
from radgen.sim.outcomes import simulate_response, simulate_survival
from radgen.sim.scans import Scanner, simulate_scan
from radgen.types import GenotypeMatrix, ImageVolume, Mask, OmicsTable

__all__ = ["Cohort", "CohortSettings", "PlantedEffect", "simulate_cohort"]

SCANNERS = (
    Scanner("Northfield", "Aurora", (3.0, 1.5, 1.5), gain=1.0, offset=0.0, noise=4.0),
    Scanner("Lakeside", "Borealis", (2.5, 1.25, 1.25), gain=1.35, offset=-10.0, noise=6.0),
    Scanner("Hilltop", "Cassini", (4.0, 1.6, 1.6), gain=0.8, offset=25.0, noise=5.0),
)
"""The sites of a simulated cohort; more sites repeat these scanners with other gains."""


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """What a simulated cohort looks like. Effects are in standard deviations or log ratios.

    Attributes
    ----------
    n_samples : int
        Number of people.
    n_sites : int
        Number of sites, each with its own scanner.
    site_effect : float
        Scales the scanners' gain and offset differences; 0 = all scanners alike.
    n_variants, n_chromosomes : int
        Size of the genotype set.
    maf : tuple of float
        Range of the minor-allele frequency.
    ld : float
        Latent correlation of neighbouring variants.
    n_genes, n_modules : int
        Size of the expression table.
    variant_effect : float
        Correlation of the causal variant's dosage with tumour size.
    mutation_effect : float
        Mean shift of brightness in mutant tumours, in standard deviations.
    module_effect : float
        Correlation of module 1's activity with texture.
    size_log_hazard, mutation_log_hazard, age_log_hazard : float
        Log hazard ratio per SD of tumour size, for mutant tumours, per decade of age.
    response_log_odds : float
        Log odds ratio of response per SD of brightness under the new treatment.
    censored : float
        Fraction of censored survival times.
    missing_calls : float
        Fraction of missing genotype calls.
    missing_expression : float
        Fraction of people without an expression profile.
    missing_clinical : float
        Fraction of blank ages.
    retest : float
        Fraction of people scanned twice.
    retest_noise : float
        Noise of the second scan relative to the first.
    null : bool
        True: no image is related to any gene or outcome; every finding is a false one.
    seed : int
        Seed of the whole cohort; each person has a stream of their own.
    """

    n_samples: int = 120
    n_sites: int = 3
    site_effect: float = 1.0
    n_variants: int = 2000
    n_chromosomes: int = 4
    maf: tuple[float, float] = (0.1, 0.5)
    ld: float = 0.8
    n_genes: int = 200
    n_modules: int = 8
    variant_effect: float = 0.6
    mutation_effect: float = 1.6
    module_effect: float = 0.7
    size_log_hazard: float = 0.6
    mutation_log_hazard: float = -0.9
    age_log_hazard: float = 0.3
    response_log_odds: float = 1.2
    censored: float = 0.3
    missing_calls: float = 0.005
    missing_expression: float = 0.08
    missing_clinical: float = 0.03
    retest: float = 0.0
    retest_noise: float = 1.0
    null: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.n_samples < 10 or self.n_sites < 1 or self.n_variants < 10:
            raise InputError("A cohort has at least 10 people, 1 site and 10 variants.")
        if not abs(self.variant_effect) < 1 or not abs(self.module_effect) < 1:
            raise InputError("variant_effect and module_effect are correlations within (-1, 1).")


@dataclass(frozen=True, slots=True)
class PlantedEffect:
    """One effect of the truth: what drives what, in which direction.

    Attributes
    ----------
    name : str
        One line for people.
    analysis : str
        "gwas", "associate", "predict" or "survival": where it should come out.
    source : str
        Variant id, gene, module or phenotype that causes it.
    layer : str
        "genotype", "mutation", "expression" or "image".
    ibsi_code : str
        Feature in which it shows, "" where it is an outcome.
    outcome : str
        Outcome column, "" where it is a feature.
    sign : int
        Direction of the effect: 1, -1, or 0 for a planted null.
    size : float
        Strength, in the unit that `CohortSettings` states.
    """

    name: str
    analysis: str
    source: str
    layer: str
    ibsi_code: str
    outcome: str
    sign: int
    size: float


@dataclass(frozen=True, eq=False, slots=True)
class Cohort:
    """A simulated cohort; scans are drawn when they are asked for.

    Attributes
    ----------
    settings : CohortSettings
        How it was made.
    samples : tuple of str (n_samples,)
        Ids.
    scanners : tuple of Scanner (n_samples,)
        The scanner of each person.
    latent : polars.DataFrame
        The true ``size, brightness, texture`` of each sample.
    clinical : polars.DataFrame
        ``patient_id, site, scanner, age, sex, treatment, survival_days, died, response``.
    genotypes, expression, mutations : GenotypeMatrix, OmicsTable, OmicsTable
        The molecular layers.
    modules : dict of str to tuple of str
        Genes of each expression module.
    truth : tuple of PlantedEffect
        What was planted, the nulls included.
    """

    settings: CohortSettings
    samples: tuple[str, ...]
    scanners: tuple[Scanner, ...]
    latent: pl.DataFrame
    clinical: pl.DataFrame
    genotypes: GenotypeMatrix
    expression: OmicsTable
    mutations: OmicsTable
    modules: dict[str, tuple[str, ...]]
    truth: tuple[PlantedEffect, ...] = field(default_factory=tuple)

    def scan(self, row: int, *, visit: int = 1) -> tuple[ImageVolume, Mask]:
        """Return the scan and tumour mask of one person, by row; visit 2 is the repeat scan."""
        size, brightness, texture = self.latent.select("size", "brightness", "texture").row(row)
        scanner = self.scanners[row]
        if visit != 1:
            louder = asdict(scanner) | {"noise": scanner.noise * self.settings.retest_noise}
            scanner = Scanner(**louder)
        return simulate_scan(
            size=size,
            brightness=brightness,
            texture=texture,
            scanner=scanner,
            rng=spawn(self.settings.seed, "anatomy", row),
            noise_rng=spawn(self.settings.seed, "noise", row, visit),
        )

    def write(self, folder: str | Path) -> Path:
        """Write scans, masks, genotypes, tables and the truth as a user would have them.

        Returns
        -------
        Path
            The folder. It holds ``images/*.nii.gz``, ``masks/*.nii.gz``, ``scans.csv``,
            ``clinical.csv``, ``genotypes.{bed,bim,fam}``, ``expression.tsv``, ``mutations.maf``,
            ``sequenced.txt``, ``modules.gmt`` and ``truth.json``.
        """
        from radgen.sim.write import write_cohort

        return write_cohort(self, Path(folder))


def simulate_cohort(settings: CohortSettings | None = None, **changes: Any) -> Cohort:
    """Return a cohort in which genes shape images and both shape the outcome.

    Parameters
    ----------
    settings : CohortSettings or None
        How the cohort looks; None = the defaults.
    **changes
        Fields of `CohortSettings` to set, where `settings` is None.

    Returns
    -------
    Cohort
        Reproducible from ``settings.seed``; a person's data do not depend on the others' scans.

    Examples
    --------
    >>> cohort = simulate_cohort(n_samples=12, n_variants=50, seed=3)
    >>> cohort.samples[:2]
    ('P0001', 'P0002')
    """
    chosen = settings if settings is not None else CohortSettings(**changes)
    n = chosen.n_samples
    samples = tuple(f"P{row + 1:04d}" for row in range(n))
    rng = spawn(chosen.seed, "people")
    site = rng.integers(0, chosen.n_sites, n)
    scanners = tuple(_scanner(int(index), chosen.site_effect) for index in site)
    genotypes = simulate_genotypes(
        samples,
        n_variants=chosen.n_variants,
        rng=spawn(chosen.seed, "genotypes"),
        n_chromosomes=chosen.n_chromosomes,
        maf=chosen.maf,
        ld=chosen.ld,
        missing=chosen.missing_calls,
    )
    expression, activity, modules = simulate_expression(
        samples,
        rng=spawn(chosen.seed, "expression"),
        n_genes=chosen.n_genes,
        n_modules=chosen.n_modules,
    )
    mutations = simulate_mutations(
        samples,
        {"DRV1": 0.4, "DRV2": 0.25, "PAS1": 0.35, "PAS2": 0.15},
        rng=spawn(chosen.seed, "mutations"),
    )
    causal = _causal_variant(genotypes)
    latent = _latents(
        chosen,
        genotypes=genotypes,
        causal=causal,
        activity=activity,
        mutations=mutations,
        rng=rng,
    )
    clinical = _clinical(
        chosen, samples=samples, scanners=scanners, latent=latent, mutations=mutations, rng=rng
    )
    kept = rng.random(n) >= chosen.missing_expression
    return Cohort(
        chosen,
        samples,
        scanners,
        latent,
        clinical,
        genotypes,
        expression.take(rows=np.flatnonzero(kept)),
        mutations,
        modules,
        _truth(chosen, genotypes.variants["id"][causal]),
    )


def _scanner(index: int, site_effect: float) -> Scanner:
    base = SCANNERS[index % len(SCANNERS)]
    cycle = index // len(SCANNERS)
    return Scanner(
        base.site if cycle == 0 else f"{base.site}-{cycle + 1}",
        base.manufacturer,
        base.spacing_mm,
        gain=1 + site_effect * (base.gain - 1 + 0.07 * cycle),
        offset=site_effect * base.offset,
        noise=base.noise,
    )


def _causal_variant(genotypes: GenotypeMatrix) -> int:
    """Return the row of a common variant in the middle of the second chromosome."""
    dosage = genotypes.read(0, genotypes.n_variants)
    frequency = np.nanmean(dosage, axis=1) / 2
    start = genotypes.n_variants * 3 // 8
    window = frequency[start : start + 20]
    return start + int(np.argmin(np.abs(window - 0.4)))


def _standardised(values: np.ndarray) -> np.ndarray:
    filled = np.where(np.isnan(values), np.nanmean(values), values)
    spread = filled.std()
    return np.asarray((filled - filled.mean()) / (spread if spread > 0 else 1.0))


def _latents(
    settings: CohortSettings,
    *,
    genotypes: GenotypeMatrix,
    causal: int,
    activity: np.ndarray,
    mutations: OmicsTable,
    rng: np.random.Generator,
) -> pl.DataFrame:
    on = 0.0 if settings.null else 1.0
    noise = rng.standard_normal((settings.n_samples, 3))
    variant = _standardised(genotypes.read(causal, causal + 1)[0].astype(np.float64))
    strength = on * settings.variant_effect
    size = strength * variant + np.sqrt(1 - strength**2) * noise[:, 0]
    driver = mutations.values[:, 0]
    brightness = on * settings.mutation_effect * (driver - 0.4) + noise[:, 1]
    strength = on * settings.module_effect
    texture = strength * activity[:, 0] + np.sqrt(1 - strength**2) * noise[:, 2]
    return pl.DataFrame({"size": size, "brightness": brightness, "texture": texture})


def _clinical(
    settings: CohortSettings,
    *,
    samples: tuple[str, ...],
    scanners: tuple[Scanner, ...],
    latent: pl.DataFrame,
    mutations: OmicsTable,
    rng: np.random.Generator,
) -> pl.DataFrame:
    on = 0.0 if settings.null else 1.0
    n = settings.n_samples
    age = np.round(np.clip(rng.normal(58, 11, n), 20, 89), 1)
    female = rng.random(n) < 0.48
    treated = rng.random(n) < 0.5
    log_hazard = settings.age_log_hazard * (age - 58) / 10 + on * (
        settings.size_log_hazard * latent["size"].to_numpy()
        + settings.mutation_log_hazard * (mutations.values[:, 0] - 0.4)
    )
    days, died = simulate_survival(log_hazard, rng=rng, censored=settings.censored)
    log_odds = -0.4 + on * treated * settings.response_log_odds * latent["brightness"].to_numpy()
    response = simulate_response(log_odds, rng=rng)
    known_age = [
        None if blank else value
        for value, blank in zip(age, rng.random(n) < settings.missing_clinical, strict=True)
    ]
    spelling = ("mutant", "Mutated", "MUT"), ("wild-type", "WT", "wildtype")
    status = [
        spelling[0 if mutant else 1][int(pick)]
        for mutant, pick in zip(mutations.values[:, 0], rng.integers(0, 3, n), strict=True)
    ]
    return pl.DataFrame(
        {
            "patient_id": list(samples),
            "site": [scanner.site for scanner in scanners],
            "scanner": [scanner.manufacturer for scanner in scanners],
            "age": known_age,
            "sex": ["F" if flag else "M" for flag in female],
            "treatment": ["new" if flag else "standard" for flag in treated],
            "DRV1_status": status,
            "survival_days": np.round(days).astype(np.int64),
            "died": died.astype(np.int64),
            "response": ["responder" if flag else "non-responder" for flag in response],
        }
    )


def _truth(settings: CohortSettings, causal_id: str) -> tuple[PlantedEffect, ...]:
    on = 0 if settings.null else 1

    def sign(effect: float) -> int:
        return on * int(np.sign(effect))

    return (
        PlantedEffect(
            f"variant {causal_id} enlarges the tumour",
            "gwas",
            causal_id,
            "genotype",
            "RNU0",
            "",
            sign(settings.variant_effect),
            settings.variant_effect,
        ),
        PlantedEffect(
            "mutation DRV1 brightens the tumour",
            "associate",
            "DRV1",
            "mutation",
            "Q4LE",
            "",
            sign(settings.mutation_effect),
            settings.mutation_effect,
        ),
        PlantedEffect(
            "expression module 1 coarsens the texture",
            "associate",
            "GENE0001",
            "expression",
            "ACUI",
            "",
            -sign(settings.module_effect),
            settings.module_effect,
        ),
        PlantedEffect(
            "DRV1 status can be read from the image",
            "predict",
            "DRV1",
            "mutation",
            "",
            "DRV1_status",
            on,
            settings.mutation_effect,
        ),
        PlantedEffect(
            "PAS1 status cannot be read from the image",
            "predict",
            "PAS1",
            "mutation",
            "",
            "PAS1",
            0,
            0.0,
        ),
        PlantedEffect(
            "larger tumours shorten survival",
            "survival",
            "size",
            "image",
            "RNU0",
            "survival",
            sign(settings.size_log_hazard),
            settings.size_log_hazard,
        ),
    )
