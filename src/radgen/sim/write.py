"""Write a simulated cohort as the files a user would have."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from radgen._core.files import atomic_path, write_text
from radgen._core.progress import progress
from radgen._core.rng import spawn
from radgen.types import GenotypeMatrix, ImageVolume, Mask

if TYPE_CHECKING:
    from radgen.sim.cohort import Cohort

__all__ = ["write_cohort", "write_plink"]

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_cohort(cohort: Cohort, folder: Path) -> Path:
    """Write all files of a cohort into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    scans = []
    n_twice = round(cohort.settings.retest * len(cohort.samples))
    with progress("Writing scans", len(cohort.samples)) as tick:
        for row, sample in enumerate(cohort.samples):
            for visit in (1, 2) if row < n_twice else (1,):
                image, mask = cohort.scan(row, visit=visit)
                name = f"{sample}.nii.gz" if visit == 1 else f"{sample}_retest.nii.gz"
                _write_nifti(folder / "images" / name, image, np.float32)
                _write_nifti(folder / "masks" / name, mask, np.uint8)
                scanner = cohort.scanners[row]
                scans.append(
                    {
                        "patient_id": sample,
                        "visit": visit,
                        "image": f"images/{name}",
                        "mask": f"masks/{name}",
                        "site": scanner.site,
                        "scanner": scanner.manufacturer,
                    }
                )
            tick(1)
    _write_csv(pl.DataFrame(scans), folder / "scans.csv")
    _write_csv(cohort.clinical, folder / "clinical.csv")
    write_plink(cohort.genotypes, folder / "genotypes.bed")
    _write_expression(cohort, folder / "expression.tsv")
    _write_maf(cohort, folder / "mutations.maf")
    write_text(folder / "sequenced.txt", "\n".join(cohort.mutations.samples) + "\n")
    lines = ["\t".join([name, "simulated", *genes]) for name, genes in cohort.modules.items()]
    write_text(folder / "modules.gmt", "\n".join(lines) + "\n")
    truth = {
        "settings": asdict(cohort.settings),
        "effects": [asdict(effect) for effect in cohort.truth],
    }
    write_text(folder / "truth.json", json.dumps(truth, indent=2) + "\n")
    return folder


def write_plink(genotypes: GenotypeMatrix, path: str | Path) -> None:
    """Write hard calls as a PLINK 1 fileset (.bed, .bim, .fam); A1 is ALT.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Dosages are rounded to 0, 1, 2; NaN is written as missing.
    path : str or Path
        The .bed file; .bim and .fam stand beside it.
    """
    from bed_reader import to_bed

    dosage = genotypes.read(0, genotypes.n_variants).T
    calls = np.where(np.isnan(dosage), -127, np.rint(dosage)).astype(np.int8)
    table = genotypes.variants
    to_bed(
        Path(path),
        calls,
        properties={
            "fid": list(genotypes.samples),
            "iid": list(genotypes.samples),
            "chromosome": table["chrom"].to_list(),
            "sid": table["id"].to_list(),
            "bp_position": table["pos"].to_list(),
            "allele_1": table["alt"].to_list(),
            "allele_2": table["ref"].to_list(),
        },
        count_A1=True,
    )


def _write_nifti(path: Path, volume: ImageVolume | Mask, dtype: type) -> None:
    import nibabel as nib

    array = np.transpose(volume.array, (2, 1, 0)).astype(dtype)
    nifti = nib.Nifti1Image(array, _LPS_TO_RAS @ volume.geometry.affine)
    nifti.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(nifti, temporary)


def _write_csv(frame: pl.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        frame.write_csv(temporary)


def _write_expression(cohort: Cohort, path: Path) -> None:
    """Write genes in rows, and the tissue bank's own spelling of the ids (P0001-T)."""
    table = cohort.expression
    columns = {"gene": list(table.features)}
    rounded = np.round(table.values, 4)
    columns |= {f"{sample}-T": rounded[i].tolist() for i, sample in enumerate(table.samples)}
    with atomic_path(path) as temporary:
        pl.DataFrame(columns).write_csv(temporary, separator="\t")


def _write_maf(cohort: Cohort, path: Path) -> None:
    rng = spawn(cohort.settings.seed, "maf")
    kinds = np.array(["Missense_Mutation", "Nonsense_Mutation", "Frame_Shift_Del"])
    place = {
        gene: (str(k + 5), 1_000_000 * (k + 1)) for k, gene in enumerate(cohort.mutations.features)
    }
    rows = []
    for i, sample in enumerate(cohort.mutations.samples):
        for j, gene in enumerate(cohort.mutations.features):
            if cohort.mutations.values[i, j] == 1:
                chrom, start = place[gene]
                position = start + int(rng.integers(0, 2000))
                rows.append(
                    (gene, chrom, position, position, str(rng.choice(kinds)), "C", "T", sample)
                )
    columns = (
        "Hugo_Symbol",
        "Chromosome",
        "Start_Position",
        "End_Position",
        "Variant_Classification",
        "Reference_Allele",
        "Tumor_Seq_Allele2",
        "Tumor_Sample_Barcode",
    )
    with atomic_path(path) as temporary:
        pl.DataFrame(rows, schema=list(columns), orient="row").write_csv(temporary, separator="\t")
