"""Golden values of decision curves, made with dcurves 1.1.7, lifelines 0.30.

Run in an environment with dcurves: ``python dcurves_golden.py`` (writes CSV files beside it). The
data are those of ``../survival/input.csv``.
"""

from pathlib import Path

import dcurves
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
d = pd.read_csv(HERE.parent / "survival" / "input.csv")
d["event"] = (d["cause"] > 0).astype(int)
d["y"] = ((d["cause"] > 0) & (d["time"] < 1)).astype(int)
d["p"] = 1 / (1 + np.exp(0.6 - 0.9 * d["a"]))
cuts = [0.05, 0.2, 0.35, 0.5, 0.65]
binary = dcurves.dca(data=d, outcome="y", modelnames=["p"], thresholds=cuts)
binary[binary["model"].isin(["p", "all"])][["model", "threshold", "net_benefit"]].to_csv(
    HERE / "binary.csv", index=False
)
survival = dcurves.dca(
    data=d, outcome="event", modelnames=["p"], thresholds=cuts, time=1.0,
    time_to_outcome_col="time",
)  # fmt: skip
survival[survival["model"].isin(["p", "all"])][["model", "threshold", "net_benefit"]].to_csv(
    HERE / "survival.csv", index=False
)
