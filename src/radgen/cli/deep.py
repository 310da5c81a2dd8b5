"""The commands ``radgen deep crops | features | fit | apply | saliency``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Networks: crops of scans, frozen features, a network fitted, applied and looked at.",
    epilog="""\b
From scans to an honest answer:
  radgen deep crops --cohort scans.csv --region tumour --size 32 --spacing 1 --out crops.npz
  radgen evaluate --arrays crops.npz --model image_network --outcomes clinical.csv
      --target IDH --positive mutant --clinical age --repeats 1 --jobs 2 --out network
The report holds the network beside no information, volume only and clinical only, on the same
folds of patients. With fewer than a few hundred patients expect little more than the radiomics
model gives, and often less: compare with radgen evaluate --features.

\b
Features of a network that others trained need no training and join any other table:
  radgen deep features --model card.toml --cohort scans.csv --out deep.csv
  radgen evaluate --features deep.csv --outcomes clinical.csv --target IDH --positive mutant

\b
Keep a network, and see where it looks:
  radgen deep fit crops.npz --outcomes clinical.csv --target IDH --positive mutant --out net.npz
  radgen deep apply net.npz new-crops.npz --out scores.csv
  radgen deep saliency net.npz crops.npz --sample P007 --image P007.nii.gz --out P007-map.nii.gz

PyTorch and onnxruntime are optional: pip install 'radgen[deep]'""",
)

_COHORT = "Table with columns sample, image, mask (and channel, labels, modality)."
_REGION = "Region of the masks; default: the only one."
_JOBS = "Processes; 0 = one a processor."
_Model = Annotated[
    str, typer.Option(help="image_network, slice_network (crops) or attention (bags).")
]


@app.command()
def crops(
    *,
    cohort: Annotated[Path, typer.Option(help=_COHORT)],
    out: Annotated[Path, typer.Option(help="File to write (.npz).")],
    region: Annotated[str, typer.Option(help=_REGION)] = "",
    size: Annotated[int, typer.Option(min=8, help="Voxels a side.")] = 32,
    spacing: Annotated[float, typer.Option(help="Of the voxels, millimetres.")] = 1.0,
    window: Annotated[
        str, typer.Option(help="Values that stay, -1000,400 say; default: percentiles 1 to 99.")
    ] = "",
    with_mask: Annotated[bool, typer.Option(help="Add the region as a channel.")] = False,
    jobs: Annotated[int, typer.Option(min=0, help=_JOBS)] = 1,
) -> None:
    """Cut crops about the region of each scan."""
    from radgen.cli import _deep

    raise typer.Exit(_deep.crops(locals()))


@app.command()
def features(
    *,
    model: Annotated[Path, typer.Option(help="Card of the network (.toml), beside its ONNX file.")],
    cohort: Annotated[Path, typer.Option(help=_COHORT)],
    out: Annotated[Path, typer.Option(help="Table: .csv, .tsv or .parquet.")],
    region: Annotated[str, typer.Option(help=_REGION)] = "",
    layout: Annotated[str, typer.Option("--format", help="long or wide.")] = "long",
    jobs: Annotated[int, typer.Option(min=0, help=_JOBS)] = 1,
) -> None:
    """Measure regions by a frozen network (ONNX)."""
    from radgen.cli import _deep

    raise typer.Exit(_deep.features(locals()))


@app.command()
def fit(
    arrays: Annotated[Path, typer.Argument(help="Crops or bags (.npz).")],
    *,
    outcomes: Annotated[Path, typer.Option(help="Table with the outcome, a row a sample.")],
    target: Annotated[str, typer.Option(help="Column of the outcome or time.")],
    out: Annotated[Path, typer.Option(help="File of the network (.npz).")],
    model: _Model = "image_network",
    positive: Annotated[str | None, typer.Option(help="Value that counts as positive.")] = None,
    negative: Annotated[str | None, typer.Option(help="Or: value that is negative.")] = None,
    event: Annotated[str | None, typer.Option(help="Column: the event happened.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    patient: Annotated[str | None, typer.Option(help="Column of the patient.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 1,
) -> None:
    """Fit a network to all samples and keep it."""
    from radgen.cli import _deep

    _deep.fit(locals())


@app.command()
def apply(
    network: Annotated[Path, typer.Argument(help="File of radgen deep fit.")],
    arrays: Annotated[Path, typer.Argument(help="Crops or bags of new samples (.npz).")],
    *,
    out: Annotated[Path, typer.Option(help="Table: .csv, .tsv or .parquet.")],
) -> None:
    """Apply a kept network to new samples."""
    from radgen.cli import _deep

    _deep.apply(network, arrays, out)


@app.command()
def saliency(
    network: Annotated[Path, typer.Argument(help="File of radgen deep fit.")],
    arrays: Annotated[Path, typer.Argument(help="Crops (.npz) with the sample.")],
    *,
    sample: Annotated[str, typer.Option(help="Id of the sample.")],
    image: Annotated[Path, typer.Option(help="Its scan, on whose grid the map is written.")],
    out: Annotated[Path, typer.Option(help="Map: .nii.gz, .nii, .nrrd or .mha.")],
    mask: Annotated[Path | None, typer.Option(help="Region: how much of the map lies in it.")] = (
        None
    ),
    method: Annotated[str, typer.Option(help="occlusion or gradient.")] = "occlusion",
    patch: Annotated[int, typer.Option(min=1, help="Side of the cubes, voxels of the crop.")] = 8,
    step: Annotated[int, typer.Option(min=1, help="Distance of the cubes.")] = 4,
) -> None:
    """Map where a network looks in one scan."""
    from radgen.cli import _deep

    _deep.saliency(locals())
