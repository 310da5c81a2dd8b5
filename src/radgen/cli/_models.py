"""What the commands about models share: files in, functions called, words out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from radgen.cli._ids import rule_of

if TYPE_CHECKING:
    import polars as pl

    from radgen.io import IdRule
    from radgen.predict import AuditResult, FitProfile
    from radgen.study.models import ModelRun

__all__ = [
    "environments",
    "evaluate",
    "ids_of",
    "show_audit",
    "show_predictions",
    "sites_of",
    "validate",
]


def _parted(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _outcome(given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("positive", "negative", "event", "patient", "site", "one_site")
    ids = {"id_name": given["id_"], "id_rule": rule_of(given)}
    return {name: given[name] for name in names} | ids


def evaluate(given: Mapping[str, Any]) -> None:
    """Do what ``radgen evaluate`` asks for and print the findings."""
    from radgen.predict import profile_fits
    from radgen.study.models import evaluate_inputs, evaluate_many

    features, genomic = given["features"] or [], given["genomic"] or []
    inputs = [_inputs(given, target) for target in _targets(given)]
    arrays = given["arrays"] or []
    files = {path.name: path for path in (given["outcomes"], *features, *genomic, *arrays)}
    options = _settings(given) | {"files": files}
    with profile_fits() as profile:
        if len(inputs) == 1:
            run = evaluate_inputs(inputs[0], given["out"], freeze=given["freeze"], **options)
        else:
            run = evaluate_many(inputs, given["out"], **options)
    _show(run, "Frozen model")
    if given["profile"]:
        _show_profile(profile, given["out"] / "profile.csv")


def _show_profile(profile: FitProfile, out: Path) -> None:
    from radgen.cli._genetics import write_table

    table = profile.table
    write_table(table, out)
    names = ("stage", "fitted", "inputs", "calls", "fits", "repeated", "spared", "seconds")
    cells = [names, *((*row[:7], f"{row[7]:.2f}") for row in table.iter_rows())]
    widths = [max(len(str(row[j])) for row in cells) for j in range(len(names))]
    for row in cells:
        parts = [
            str(cell).ljust(width) if j < 3 else str(cell).rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(parts).rstrip())
    for line in (*profile.statements(), f"Profile: {out}"):
        typer.echo(line)


def environments(given: Mapping[str, Any]) -> None:
    """Do what ``radgen environments`` asks for, print the findings and write the tables."""
    from radgen.cli._genetics import write_table
    from radgen.predict import invariant_prediction, leave_environment_out

    whole = {"target": [given["target"]], "unit": "", "event": None, "patient": None,
             "one_site": None}  # fmt: skip
    inputs = _inputs({**given, **whole}, given["target"])
    sites = inputs.sites or {}
    level = given["alpha"]
    found = invariant_prediction(
        inputs.blocks, inputs.outcome, sites, alpha=level, max_candidates=given["candidates"]
    )
    away = leave_environment_out(
        inputs.blocks, inputs.outcome, sites, seed=given["seed"], alpha=level,
        methods=_parted(given["methods"]),
    )  # fmt: skip
    tables = {
        "invariance": found.table, "sets": found.sets, "environments": away.table,
        "differences": away.differences,
    }  # fmt: skip
    for name, table in tables.items():
        write_table(table, given["out"] / f"{name}.csv")
    notes = dict.fromkeys((*inputs.notes, *found.warnings, *away.warnings))
    for line in (*notes, *found.findings(), *away.findings(), f"Tables: {given['out']}"):
        typer.echo(line)


def _targets(given: Mapping[str, Any]) -> list[str]:
    """Return all targets; ``subtype=*`` stands for each value against the rest."""
    from radgen.predict.inputs import against_the_rest

    out = []
    for target in given["target"]:
        name, _, positive = target.partition("=")
        if positive != "*":
            out.append(target)
            continue
        values = against_the_rest(given["outcomes"], name, id_name=given["id_"])
        out += [f"{name}={value}" for value in values]
    return out


def _inputs(given: Mapping[str, Any], target: str) -> Any:
    from radgen.predict import read_inputs

    name, _, positive = target.partition("=")
    outcome = _outcome(given) | ({"positive": positive} if positive else {})
    found = read_inputs(
        given["outcomes"], name, features=given["features"] or [],
        genomic=given["genomic"] or [], arrays=given.get("arrays") or [],
        clinical=_parted(given["clinical"]), unit=given["unit"],
        exclude=[*_parted(given["exclude"]), *(t.partition("=")[0] for t in given["target"])],
        **outcome,
    )  # fmt: skip
    same = sum(t.partition("=")[0] == name for t in _targets(given))
    if same < 2:
        return found
    return replace(found, outcome=replace(found.outcome, name=target))


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("scheme", "folds", "repeats", "inner_folds", "permutations", "horizon", "abstain",
             "volume", "seed", "jobs")  # fmt: skip
    options = {name: given[name] for name in names}
    models = _parted(given["model"])
    options["model"] = models[0] if len(models) == 1 else models
    options["fusion"] = _parted(given["fusion"])
    options["missing_blocks"] = "keep" if given["keep_missing"] else "drop"
    options["order"] = column_of(given["outcomes"], given["order"], given["id_"], rule_of(given))
    for name in ("selection", "harmonise"):
        options[name] = None if given[name] == "none" else given[name]
    return options


def validate(given: Mapping[str, Any]) -> None:
    """Do what ``radgen validate`` asks for and print the findings."""
    from radgen.predict import read_inputs
    from radgen.study.models import validate_bundle

    inputs = read_inputs(given["outcomes"], given["target"], predictors=False, **_outcome(given))
    options = {name: given[name] for name in ("claim", "horizon", "any_range")}
    run = validate_bundle(
        given["bundle"], given["tables"], inputs, given["out"], id_name=given["id_"],
        id_rule=rule_of(given), **options,
    )  # fmt: skip
    _show(run, "")


def _show(run: ModelRun, bundle: str) -> None:
    for line in (*run.notes, *_left_out(run.result), *run.result.findings()):
        typer.echo(line)
    if run.bundle is not None and bundle:
        typer.echo(f"{bundle}: {run.bundle}")
    typer.echo(f"Report: {run.report}")


def _left_out(result: Any) -> list[str]:
    """Return a line for each reason why samples were left out, with the first of them."""
    from radgen._core.naming import counted
    from radgen.errors import shown

    reasons: dict[str, list[str]] = {}
    for sample, reason in result.dropped.select("sample", "reason").iter_rows():
        reasons.setdefault(reason, []).append(sample)
    return [
        f"{counted(len(samples), 'sample')} left out, {reason}: {shown(samples, 3)}."
        for reason, samples in reasons.items()
    ]


def sites_of(
    tables: list[Path],
    site: str | None,
    one_site: str | None,
    id_: str | None,
    rule: IdRule | None = None,
) -> dict[str, str] | None:
    """Return the site of each sample: the one named, or of the first table with the column."""
    from radgen.errors import InputError
    from radgen.predict.inputs import read_plain

    if one_site is not None:
        if site is not None:
            raise InputError("Give --site or --one-site, not both.")
        return dict.fromkeys(
            (item for path in tables for item in ids_of(path, id_, rule)), one_site
        )
    if site is None:
        return None
    for path in tables:
        frame, _ = read_plain(path, id_name=id_, id_rule=rule)
        if site in frame.columns:
            return {str(a): str(b) for a, b in frame.select("sample", site).iter_rows()}
    raise InputError(f"No table has a column {site!r}.")


def column_of(
    path: Path, name: str | None, id_: str | None, rule: IdRule | None = None
) -> dict[str, Any] | None:
    """Return a column of a table by sample; None without a name."""
    from radgen.errors import InputError
    from radgen.predict.inputs import read_plain

    if name is None:
        return None
    frame, _ = read_plain(path, id_name=id_, id_rule=rule)
    if name not in frame.columns:
        raise InputError(f"{path}: no column {name!r}.")
    return dict(frame.select("sample", name).iter_rows())


def ids_of(path: Path | None, id_: str | None, rule: IdRule | None = None) -> list[str]:
    """Return the ids of a table; none without one."""
    from radgen.predict.inputs import read_plain

    if path is None:
        return []
    return read_plain(path, id_name=id_, id_rule=rule)[0]["sample"].to_list()


def show_predictions(found: pl.DataFrame, notes: tuple[str, ...], out: Path) -> None:
    """Print how many samples were scored, and why others were not."""
    refused = found.filter(found["status"] == "refused")
    for line in notes:
        typer.echo(line)
    typer.echo(f"{found.height - refused.height} of {found.height} samples have a prediction.")
    for sample, reason in refused.select("sample", "reason").head(5).iter_rows():
        typer.echo(f"  {sample}: {reason}")
    if refused.height > 5:
        typer.echo(f"  … and {refused.height - 5} more; the file gives the reasons.")
    if "decision" in found.columns:
        said = found["decision"].drop_nulls()
        counts = ", ".join(
            f"{int((said == word).sum())} {word}" for word in ("positive", "negative", "abstains")
        )
        typer.echo(f"Decisions: {counts}.")
    typer.echo(f"Predictions: {out}")


def show_audit(found: list[AuditResult]) -> None:
    """Print the checks and findings of audits."""
    for item in found:
        for row in item.frame.iter_rows(named=True):
            mark = "ok" if row["violations"] == 0 else "VIOLATED"
            typer.echo(f"{mark:8}  {row['check']} ({row['examined']} examined)")
        for line in item.findings():
            typer.echo(line)
