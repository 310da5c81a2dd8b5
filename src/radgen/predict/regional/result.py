"""What is found of image-localised biopsies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from radgen.plot import style
from radgen.types import Result

__all__ = ["BiopsyResult"]


@dataclass(frozen=True, eq=False)
class BiopsyResult(Result):
    """Held-out predictions of the molecular label of biopsies from their surroundings.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a biopsy: ``sample, biopsy, x_mm, y_mm, z_mm`` (LPS), ``label``, ``predicted`` (the
        probability of the state or the mean of the quantity by a model of other patients), ``sd,
        certainty, certain`` and ``predicted_knowing_patient`` (the patient's other biopsies were
        in training).
    schemes : polars.DataFrame
        How good the predictions are when a patient, or a biopsy alone, is left out.
    features : polars.DataFrame
        ``sample, biopsy`` and the local features.
    label, label_kind : str
        Name of the label; "state" or "quantity".
    """

    kind: ClassVar[str] = "biopsies"
    plots: ClassVar[tuple[str, ...]] = ("biopsy_predictions", "biopsy_schemes")

    schemes: pl.DataFrame = None  # type: ignore[assignment]
    features: pl.DataFrame = None  # type: ignore[assignment]
    label: str = ""
    label_kind: str = "state"

    def _row(self, scheme: str) -> dict[str, Any]:
        return self.schemes.row(by_predicate=pl.col("left_out") == scheme, named=True)

    def statements(self) -> tuple[str, ...]:
        """Return what was found, the honest number first."""
        patient, biopsy = self._row("patient"), self._row("biopsy")
        n = self.frame["sample"].n_unique()
        if self.label_kind == "quantity":
            out = [
                f"{self.label} of {patient['n']} biopsies of {n} patients, each predicted by a "
                f"model of other patients: R² {patient['r2']:.2f}, typical error "
                f"{patient['rmse']:.3g}.",
                f"With other biopsies of the same patient in training R² would seem to be "
                f"{biopsy['r2']:.2f}.",
            ]
            if (
                patient.get("rmse_certain") is not None
                and patient.get("rmse_uncertain") is not None
            ):
                out.append(
                    f"Typical error where the side of {self.params['threshold']:g} is certain "
                    f"{patient['rmse_certain']:.3g}, elsewhere {patient['rmse_uncertain']:.3g}."
                )
            return tuple(out)
        if patient.get("auc") is None:
            return (f"Too few states of {self.label} are left to judge the predictions.",)
        area = f"{patient['auc']:.2f} ({patient['auc_low']:.2f}–{patient['auc_high']:.2f})"
        out = [
            f"{self.label} of {patient['n']} biopsies of {n} patients, each predicted by a model "
            f"of other patients: AUC {area}"
            + ("." if patient["auc_low"] > 0.5 else ", which is no evidence of prediction."),
        ]
        if patient.get("auc_within_patients") is not None:
            out.append(
                f"Of {patient['n_pairs']} pairs of biopsies of one patient that differ in "
                f"{self.label}, {100 * patient['auc_within_patients']:.0f} % are ranked rightly"
                + self._permuted()
            )
        if biopsy.get("auc") is not None:
            gap = biopsy["auc"] - patient["auc"]
            out.append(
                f"With other biopsies of the same patient in training the AUC would seem to be "
                f"{biopsy['auc']:.2f}: {abs(gap):.2f} {'more' if gap >= 0 else 'less'}."
            )
        sure, other = patient.get("accuracy_certain"), patient.get("accuracy_uncertain")
        if sure is not None and other is not None:
            out.append(
                f"{patient['n_certain']} biopsies are certain (at "
                f"{100 * self.params['confidence']:.0f} %): {100 * sure:.0f} % of them are right, "
                f"of the others {100 * other:.0f} %."
            )
        return tuple(out)

    def _permuted(self) -> str:
        p = self.params.get("p_within_patients")
        return "." if p is None else f" (p = {p:.3g}, {self.params['permutations']} permutations)."

    def methods(self) -> str:
        """Return the methods paragraph."""
        given = self.params
        return (
            f"Features were measured in a {given['shape']} of {given['radius_mm']:g} mm about each "
            f"biopsy on {', '.join(given['images'])}"
            + (", within the mask" if given["inside"] else "")
            + (", intensities standardised within the mask" if given["zscore"] else "")
            + ". A Gaussian process (squared-exponential kernel on principal components; "
            "imputation, scale, components and kernel learnt from training biopsies) was tested "
            "by leaving out one patient at a time; leaving out single biopsies, which lets the "
            "model know the patient, is shown beside it. A prediction is called certain where the "
            "latent function lies on one side of the threshold with a probability of "
            f"{given['confidence']:g} or more."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the predictions of biopsies by patient, or both ways of leaving out.

        Parameters
        ----------
        kind : {"biopsy_predictions", "biopsy_schemes"}
            Which picture.
        ax : matplotlib.axes.Axes or None
            Where to draw; None = a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes drawn on.

        Raises
        ------
        InputError
            If there is no such picture.
        """
        if kind == "biopsy_predictions":
            return _predictions(self, ax)
        if kind == "biopsy_schemes":
            return _schemes(self, ax)
        return super().plot(kind, ax=ax)


def _predictions(result: BiopsyResult, ax: Any) -> Any:
    frame = result.frame.filter(pl.col("predicted").is_not_nan())
    ax = ax or style.axes(9.2, 3.6)
    patients = frame["sample"].unique(maintain_order=True).to_list()
    place = {patient: k for k, patient in enumerate(patients)}
    binary = result.label_kind == "state"
    groups = (
        [("without", pl.col("label") < 0.5, 0), ("with", pl.col("label") >= 0.5, 1)]
        if binary
        else [("predicted", pl.lit(True), 0)]
    )
    for name, rows, ink in groups:
        for sure in (True, False):
            part = frame.filter(rows & (pl.col("certain") == sure))
            if not part.height:
                continue
            ax.scatter(
                [place[s] for s in part["sample"]], part["predicted"].to_list(), s=26,
                color=style.colour(ink) if sure else "none", edgecolors=style.colour(ink),
                label=f"{name}{f' {result.label}' if binary else ''}"
                + ("" if sure else ", uncertain"),
            )  # fmt: skip
    if not binary:
        x = [place[s] for s in frame["sample"]]
        ax.scatter(
            x, frame["label"].to_list(), marker="_", s=60, color=style.MUTED, label="measured"
        )
    else:
        ax.axhline(0.5, color=style.MUTED, linewidth=0.8, linestyle="--")
    few = len(patients) <= 30
    ax.set_xticks(range(len(patients)) if few else [])
    if few:
        ax.set_xticklabels(
            [style.safe(p, 12) for p in patients], rotation=60, ha="right", parse_math=False
        )
    label = f"Probability of {result.label}" if binary else result.label
    style.dress(ax, xlabel="Patient", ylabel=label, grid="y")
    handles, labels = ax.get_legend_handles_labels()
    style.legend(ax, handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _schemes(result: BiopsyResult, ax: Any) -> Any:
    ax = ax or style.axes(4.6, 3.8)
    binary = result.label_kind == "state"
    names = {"auc": "AUC", "auc_within_patients": "AUC within\npatients", "accuracy": "Accuracy",
             "accuracy_certain": "Accuracy,\ncertain", "accuracy_uncertain": "Accuracy,\nuncertain",
             "r2": "R²", "spearman": "Spearman"}  # fmt: skip
    shown = [name for name in names if name in result.schemes.columns]
    for k, (scheme, text) in enumerate((("patient", "a patient"), ("biopsy", "a biopsy alone"))):
        row = result._row(scheme)
        height = [float("nan") if row[name] is None else row[name] for name in shown]
        ax.bar([j + 0.38 * k - 0.19 for j in range(len(shown))], height, width=0.36,
               color=style.colour(k), label=f"leaving out {text}")  # fmt: skip
    ax.set_xticks(range(len(shown)))
    ax.set_xticklabels([names[name] for name in shown], fontsize=7, parse_math=False)
    if binary:
        ax.axhline(0.5, color=style.MUTED, linewidth=0.8, linestyle="--")
        ax.set_ylim(0, 1.18)
    style.dress(ax, ylabel="Held-out", grid="y")
    handles, labels = ax.get_legend_handles_labels()
    style.legend(ax, handles, labels, loc="upper right")
    return ax
