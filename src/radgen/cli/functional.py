"""The commands ``radgen functional dce | dsc | diffusion | t1 | …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make maps of perfusion, diffusion, relaxation and uptake of functional scans.",
    epilog="""
\b
Examples:
  radgen functional dce dynamic.nii.gz --artery aorta.nii.gz
      --mask tumour.nii.gz --flip 15 --tr 0.005 --t1 T1.nii.gz --out dce
  radgen functional dsc perfusion.nii.gz --mask brain.nii.gz
      --normal white.nii.gz --te 0.03 --out dsc
  radgen functional diffusion dwi.nii.gz --bvals dwi.bval --out adc
  radgen functional diffusion dwi-dicom/ --out adc
  radgen extract dce/Ktrans.nii.gz tumour.nii.gz --out features.csv

Each folder gets the maps on the grid of the scan, pictures of them, and maps.json with units,
settings and percentiles. Times, --tr and --te are in seconds.""",
)

_Series = Annotated[
    list[Path], typer.Argument(help="One file with four axes or a DICOM folder; or one a frame.")
]
_Out = Annotated[Path, typer.Option(help="Folder for the maps.")]
_Mask = Annotated[Path | None, typer.Option(help="Voxels to look at; default: all measured.")]
_Times = Annotated[
    str, typer.Option(help="Seconds: a file, or the interval; default: what the scan says.")
]
_Baseline = Annotated[str, typer.Option(help="Frames before contrast, 1:6 say; default: found.")]
_Suffix = Annotated[str, typer.Option("--format", help=".nii.gz, .nii, .nrrd or .mha")]
_Overlay = Annotated[bool, typer.Option(help="Draw a picture of each map over the scan.")]
_B1 = Annotated[Path | None, typer.Option(help="Map of true over nominal flip angle.")]


@app.command()
def t1(
    series: _Series,
    *,
    flips: Annotated[str, typer.Option(help="Flip angles in degrees: 2,5,12 or a file.")],
    tr: Annotated[float, typer.Option(help="Repetition time, seconds.")],
    out: _Out,
    mask: _Mask = None,
    b1: _B1 = None,
    method: Annotated[str, typer.Option(help="nonlinear or linear.")] = "nonlinear",
    suffix: _Suffix = ".nii.gz",
    overlay: _Overlay = True,
) -> None:
    """Map T1 from spoiled gradient echoes of several flip angles."""
    from radgen.cli import _functional as f
    from radgen.functional import t1_maps

    scan = f.read(series, timed=False)
    found = t1_maps(
        scan, f.mask(mask, scan), flip_deg=f.numbers(flips), repetition_s=tr,
        b1=f.image(b1), method=method,
    )  # fmt: skip
    f.write(found, out, scan, suffix, overlay=overlay)


@app.command()
def dce(
    series: _Series,
    *,
    artery: Annotated[
        str,
        typer.Option(
            help="Mask of an artery; auto; a file of blood concentrations (mM); parker, georgiou."
        ),
    ],
    t1: Annotated[str, typer.Option(help="Of tissue before contrast: a map, or seconds.")],
    out: _Out,
    flip: Annotated[
        float | None, typer.Option(help="Flip angle, degrees; default: what DICOM says.")
    ] = None,
    tr: Annotated[
        float | None, typer.Option(help="Repetition time, seconds; default: what DICOM says.")
    ] = None,
    mask: _Mask = None,
    times: _Times = "",
    baseline: _Baseline = "",
    model: Annotated[
        str, typer.Option(help="tofts, extended-tofts, patlak, uptake (2CUM) or exchange (2CXM).")
    ] = "extended-tofts",
    delay: Annotated[str, typer.Option(help="Artery to tissue: seconds, or fit.")] = "0",
    t1_blood: Annotated[float, typer.Option(help="T1 of blood, seconds.")] = 1.6,
    relaxivity: Annotated[float, typer.Option(help="r1 of the agent, 1/(s mM).")] = 4.5,
    haematocrit: Annotated[float, typer.Option(help="Of the artery.")] = 0.42,
    b1: _B1 = None,
    suffix: _Suffix = ".nii.gz",
    overlay: _Overlay = True,
) -> None:
    """Map tracer kinetics of a dynamic contrast-enhanced series: Ktrans, ve, vp, flow."""
    from radgen.cli import _functional as f
    from radgen.functional import dce_maps

    scan = f.read(series, times=times)
    found = dce_maps(
        scan, f.mask(mask, scan), arterial=f.artery(artery, scan, out),
        flip_deg=f.stated(scan, flip, "flip angle"),
        repetition_s=f.stated(scan, tr, "repetition time"), t1=f.map_or_number(t1),
        t1_blood_s=t1_blood, b1=f.image(b1), relaxivity=relaxivity, haematocrit=haematocrit,
        baseline=f.frames(baseline),
        model=model, delay_s=f.delay(delay),
    )  # fmt: skip
    f.write(found, out, scan, suffix, overlay=overlay)


@app.command()
def enhancement(
    series: _Series,
    *,
    out: _Out,
    mask: _Mask = None,
    times: _Times = "",
    baseline: _Baseline = "",
    early: Annotated[float, typer.Option(help="When enhancement is early, seconds.")] = 90.0,
    area: Annotated[float, typer.Option(help="Area under the curve to this time, seconds.")] = 60.0,
    suffix: _Suffix = ".nii.gz",
    overlay: _Overlay = True,
) -> None:
    """Map enhancement without a model: peak, wash-in, wash-out, IAUC, signal enhancement ratio."""
    from radgen.cli import _functional as f
    from radgen.functional import enhancement_maps

    scan = f.read(series, times=times)
    found = enhancement_maps(
        scan, f.mask(mask, scan), baseline=f.frames(baseline), early_s=early, area_s=area
    )
    f.write(found, out, scan, suffix, overlay=overlay)


@app.command()
def dsc(
    series: _Series,
    *,
    out: _Out,
    te: Annotated[
        float | None, typer.Option(help="Echo time, seconds; default: what DICOM says.")
    ] = None,
    mask: _Mask = None,
    normal: Annotated[
        Path | None, typer.Option(help="Mask: normal-appearing white matter.")
    ] = None,
    artery: Annotated[str, typer.Option(help="Mask of an artery, or auto: for CBF and MTT.")] = "",
    intact: Annotated[Path | None, typer.Option(help="Mask: tissue that does not leak.")] = None,
    leakage: Annotated[bool, typer.Option(help="Correct for leaking contrast.")] = True,
    times: _Times = "",
    baseline: _Baseline = "",
    method: Annotated[str, typer.Option(help="osvd, csvd or ssvd.")] = "osvd",
    suffix: _Suffix = ".nii.gz",
    overlay: _Overlay = True,
) -> None:
    """Map blood volume of a susceptibility contrast series; flow and transit with an artery."""
    from radgen.cli import _functional as f
    from radgen.functional import dsc_maps

    scan = f.read(series, times=times)
    found = dsc_maps(
        scan, f.mask(mask, scan), echo_s=f.stated(scan, te, "echo time"),
        baseline=f.frames(baseline),
        arterial=f.artery(artery, scan, out, falls=True) if artery else None,
        normal=f.mask(normal, scan, "normal"),
        intact=f.mask(intact, scan, "intact"), leakage=leakage, method=method,
    )  # fmt: skip
    f.write(found, out, scan, suffix, overlay=overlay)


@app.command()
def diffusion(
    series: _Series,
    *,
    out: _Out,
    bvals: Annotated[
        str,
        typer.Option(help="b-values, s/mm2: a .bval file or 0,800; default: what DICOM says."),
    ] = "",
    bvecs: Annotated[Path | None, typer.Option(help="Directions (.bvec), for the tensor.")] = None,
    mask: _Mask = None,
    model: Annotated[str, typer.Option(help="adc, ivim, kurtosis or tensor.")] = "adc",
    suffix: _Suffix = ".nii.gz",
    overlay: _Overlay = True,
) -> None:
    """Map diffusion: ADC, IVIM, kurtosis, or FA and diffusivities of the tensor."""
    from radgen.cli import _functional as f
    from radgen.functional import diffusion_maps

    scan = f.read(series, timed=False)
    found = diffusion_maps(
        scan, f.mask(mask, scan), model=model, **f.gradients(scan, bvals, bvecs, model)
    )  # fmt: skip
    f.write(found, out, scan, suffix, overlay=overlay)


@app.command()
def resting(
    series: _Series,
    *,
    out: _Out,
    mask: _Mask = None,
    tr: Annotated[str, typer.Option(help="Seconds between frames; default: the scan's.")] = "",
    confounds: Annotated[
        Path | None, typer.Option(help="Table of what to regress out, a row a frame.")
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(help="Label map: also correlate its regions.")
    ] = None,
    band: Annotated[str, typer.Option(help="Slow fluctuations, hertz.")] = "0.01,0.08",
    neighbours: Annotated[int, typer.Option(help="Of regional homogeneity: 7, 19 or 27.")] = 27,
    suffix: _Suffix = ".nii.gz",
    overlay: _Overlay = True,
) -> None:
    """Map resting-state fMRI: ALFF, fALFF, ReHo; correlate regions."""
    from radgen.cli import _functional as f

    f.measure_resting(
        series, out, mask_path=mask, times=tr, confounds=confounds, regions=regions, band=band,
        neighbours=neighbours, suffix=suffix, overlay=overlay,
    )  # fmt: skip


@app.command()
def vessels(
    gradient: Annotated[
        Path, typer.Argument(help="Map of the change of R2* (gradient echo), 1/s.")
    ],
    spin: Annotated[Path, typer.Argument(help="Map of the change of R2 (spin echo), 1/s.")],
    adc: Annotated[Path, typer.Argument(help="Map of ADC, mm2/s.")],
    *,
    field: Annotated[float, typer.Option(help="Field strength, tesla.")],
    out: _Out,
    mask: _Mask = None,
    suffix: _Suffix = ".nii.gz",
    overlay: _Overlay = True,
) -> None:
    """Map the vessel size and vessel density index."""
    from radgen.cli import _functional as f
    from radgen.functional import vessel_size_maps
    from radgen.io import read_image

    star, slow, diffuse = (read_image(p, modality="MR") for p in (gradient, spin, adc))
    found = vessel_size_maps(star, slow, diffuse, f.mask(mask, star), field_t=field)
    f.write(found, out, star, suffix, overlay=overlay)


@app.command()
def uptake(
    image: Annotated[Path, typer.Argument(help="PET: SUV, or a DICOM folder that gives SUV.")],
    mask: Annotated[Path, typer.Argument(help="Mask of the lesions.")],
    *,
    out: Annotated[Path, typer.Option(help="Table: .csv, .tsv or .parquet.")],
    rule: Annotated[str, typer.Option(help="share (of the maximum), fixed, reference.")] = "share",
    value: Annotated[
        float | None, typer.Option(help="Threshold; default 0.41, 4.0 and 1.5 by rule.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Mask: the liver, for reference.")] = None,
    region_out: Annotated[Path | None, typer.Option(help="Write the active region here.")] = None,
) -> None:
    """Measure PET lesions: SUV, metabolic tumour volume, total lesion glycolysis."""
    from radgen.cli import _functional as f

    f.measure_uptake(
        image, mask, out, rule=rule, value=value, reference=reference, region_out=region_out
    )
