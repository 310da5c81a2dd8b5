"""What the commands ``radgen deep …`` do: files in, functions called, words out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

__all__ = ["apply", "crops", "features", "fit", "saliency"]


def _rows(path: Path) -> list[dict[str, Any]]:
    from radgen.io import read_table

    return read_table(path).to_dicts()


def _window(text: str) -> tuple[float, float] | None:
    from radgen.errors import InputError

    if not text.strip():
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--window takes two numbers, -1000,400 say, not {text!r}.") from None
    return low, high


def _show_failed(failed: Mapping[str, str]) -> int:
    for sample, reason in list(failed.items())[:5]:
        typer.echo(f"  {sample}: {reason}")
    if len(failed) > 5:
        typer.echo(f"  … and {len(failed) - 5} more")
    return 3 if failed else 0


def crops(given: Mapping[str, Any]) -> int:
    """Cut the crops of a cohort, write them, and return the exit code."""
    from radgen._core.executors import executor
    from radgen.deep import CropSettings, make_crops
    from radgen.io import write_sample_arrays

    how = CropSettings(
        given["size"], given["spacing"], _window(given["window"]), with_mask=given["with_mask"]
    )
    with executor(given["jobs"]) as pool:
        found, failed, notes = make_crops(
            _rows(given["cohort"]), settings=how, region=given["region"],
            folder=given["cohort"].parent, executor=pool,
        )  # fmt: skip
    write_sample_arrays(found, given["out"])
    for line in notes:
        typer.echo(line)
    shape = " x ".join(map(str, found.shape))
    typer.echo(f"{len(found.samples)} crops ({shape}) in {given['out']}; {len(failed)} failed.")
    return _show_failed(failed)


def features(given: Mapping[str, Any]) -> int:
    """Measure a cohort by a frozen network, write the table, and return the exit code."""
    import json

    from radgen._core.executors import executor
    from radgen._core.files import write_text
    from radgen.deep import deep_features
    from radgen.features.files import write_features

    with executor(given["jobs"]) as pool:
        table, about = deep_features(
            _rows(given["cohort"]), given["model"], region=given["region"],
            folder=given["cohort"].parent, executor=pool,
        )  # fmt: skip
    write_features(table, given["out"], layout=given["layout"])
    write_text(Path(f"{given['out']}.json"), json.dumps(about, indent=1) + "\n")
    bad = table.filter(table["status"] == "failed")
    failed = dict(bad.select("sample", "reason").iter_rows())
    n = table["sample"].n_unique() - len(failed)
    typer.echo(f"Features of {n} samples in {given['out']}; {len(failed)} failed.")
    typer.echo(f"Weights: {about['card']['citation']} ({about['card']['licence']})")
    return _show_failed(failed)


def fit(given: Mapping[str, Any]) -> None:
    """Fit a network to all samples and keep it."""
    from radgen.deep import fit_network, save_model
    from radgen.io import read_sample_arrays
    from radgen.predict import read_inputs

    inputs = read_inputs(
        given["outcomes"], given["target"], predictors=False, positive=given["positive"],
        negative=given["negative"], event=given["event"], id_name=given["id_"],
        patient=given["patient"],
    )  # fmt: skip
    network, about = fit_network(
        read_sample_arrays(given["arrays"]), inputs.outcome, model=given["model"],
        groups=None if inputs.groups is None else dict(inputs.groups), seed=given["seed"],
    )  # fmt: skip
    key = save_model(network, given["out"], about=about)
    for line in inputs.notes:
        typer.echo(line)
    typer.echo(f"{about['n_samples']} samples trained {given['model']} of {about['outcome']}.")
    typer.echo("It is not validated by this: radgen evaluate --arrays … --model … does that.")
    typer.echo(f"Network: {given['out']} ({key[:12]})")


def apply(network: Path, arrays: Path, out: Path) -> None:
    """Apply a kept network and write its predictions."""
    from radgen.deep import apply_network, load_model
    from radgen.io import read_sample_arrays
    from radgen.study.models import write_predictions

    model, about = load_model(network)
    found = apply_network(model, about, read_sample_arrays(arrays))
    write_predictions(found, out)
    typer.echo(f"{found.height} predictions of {about.get('outcome', 'the outcome')}: {out}")


def saliency(given: Mapping[str, Any]) -> None:
    """Write the map of a network for one scan, and a picture of it."""
    from radgen.deep import load_model, localisation_score, saliency_map
    from radgen.errors import InputError
    from radgen.io import read_image, read_masks, read_sample_arrays, write_image
    from radgen.plot.images import write_overlay

    model, about = load_model(given["network"])
    if about.get("layout") != "crops":
        raise InputError("Maps are made of networks that read crops.")
    scan = read_image(given["image"])
    found = saliency_map(
        model, read_sample_arrays(given["arrays"]), given["sample"], image=scan,
        method=given["method"], patch=given["patch"], step=given["step"],
    )  # fmt: skip
    write_image(found, given["out"])
    label = f"{given['method']} ({found.unit})"
    picture = write_overlay(scan, found.array, given["out"], label=label)
    if given["mask"] is not None:
        for name, region in read_masks(given["mask"], reference=scan).items():
            share = localisation_score(found, region)
            typer.echo(f"{share:.0%} of what raises the score lies in {name}.")
    typer.echo(f"Map: {given['out']}  Picture: {picture}")
