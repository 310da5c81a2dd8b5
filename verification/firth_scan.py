"""Whole scans of an unbalanced binary trait with rare variants, every notable row by brute force.

Run: python verification/firth_scan.py [--people 1500] [--variants 1500] [--cases 0.05]
A fileset with missing calls is written and scanned four times, as users do it. Each row with
p < 0.05, and each variant with at most 40 copies of its rarer allele, is computed again by slow
definitions that share no code with the scan:

- whether a maximum-likelihood fit exists is decided by linear programming (separation);
- maximum likelihood and Firth's penalised likelihood are maximised by SciPy's BFGS, then by Newton
  steps with a numerical Hessian;
- REGENIE's one-coefficient penalised likelihood is maximised by golden section;
- the saddle point is a root of the full cumulant function, no series.

"hybrid" must take Firth's fit where, and only where, no maximum exists. Where PLINK 2 is on the
path its ``--glm firth-fallback`` and ``--glm firth`` run on the same files; it computes in single
precision. Prints a row a comparison; exit code 1 where one lies outside its limit.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from scipy import optimize, special, stats

from radgen.associate import gwas
from radgen.io import open_genotypes

_FEW = 40
_LIMITS = {
    "hybrid": 1e-6,
    "firth": 1e-6,
    "approx-firth": 1e-6,
    "score": 1e-6,
    "plink2 firth-fallback": 2e-3,
    "plink2 firth": 2e-3,
}
"""Largest difference of beta and se, in standard errors, and of log10 p."""


def write_study(folder: Path, n: int, m: int, share: float) -> None:
    """Write a fileset of rare and common variants, 1 % of calls missing, a trait, covariates."""
    rng = np.random.default_rng(20)
    freq = np.where(rng.random(m) < 0.6, rng.uniform(0.3, 20, m) / n, rng.uniform(0.01, 0.5, m))
    dosage = rng.binomial(2, freq[:, None], (m, n))
    age, sex, site = rng.normal(size=n), rng.integers(0, 2, n), rng.normal(size=n)
    risk = 0.4 * age + 0.3 * sex + dosage[:20].T @ rng.normal(0, 1.2, 20)
    line = risk + rng.logistic(size=n)
    case = line >= np.quantile(line, 1 - share)
    codes = np.array([3, 2, 0], np.uint8)[dosage]
    codes[rng.random((m, n)) < 0.01] = 1
    padded = np.zeros((m, -(-n // 4) * 4), np.uint8)
    padded[:, :n] = codes
    packed = (padded.reshape(m, -1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2)
    (folder / "g.bed").write_bytes(b"\x6c\x1b\x01" + packed.astype(np.uint8).tobytes())
    bim = "".join(f"{1 + i % 22}\trs{i}\t0\t{i + 1}\tA\tG\n" for i in np.argsort(np.arange(m) % 22))
    (folder / "g.bim").write_text(bim)
    names = [f"s{i}" for i in range(n)]
    (folder / "g.fam").write_text("".join(f"{s}\t{s}\t0\t0\t1\t-9\n" for s in names))
    people = {"#FID": names, "IID": names}
    pl.DataFrame(people | {"CC": case + 1}).write_csv(folder / "cc.txt", separator="\t")
    beside = people | {"age": age.round(6), "sex": sex, "site": site.round(6)}
    pl.DataFrame(beside).write_csv(folder / "cov.txt", separator="\t")


def separated(x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether some direction never points against the outcome: there is no maximum then."""
    signed = (2 * y - 1)[:, None] * x
    found = optimize.linprog(
        -signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(x)), bounds=(-1, 1), method="highs"
    )
    return bool(-found.fun > 1e-7)


def slow_fit(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, float, float]:
    """Return the last coefficient at the largest (penalised) likelihood, and standard errors.

    The first is of the augmented data (each sample weighs 1 + its leverage), the second is not.
    """

    def parts(beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mu = special.expit(x @ beta)
        information = (x.T * (mu * (1 - mu))) @ x
        hat = mu * (1 - mu) * np.einsum("ni,in->n", x, np.linalg.solve(information, x.T))
        return mu, information, hat

    def value(beta: np.ndarray) -> float:
        eta = x @ beta
        likely = (y * eta - np.logaddexp(0, eta)).sum()
        return -likely - penalty * 0.5 * np.linalg.slogdet(parts(beta)[1])[1]

    def slope(beta: np.ndarray) -> np.ndarray:
        mu, _, hat = parts(beta)
        return -x.T @ (y - mu + penalty * hat * (0.5 - mu))

    begin = np.zeros(x.shape[1])
    begin[0] = special.logit(y.mean())
    beta = optimize.minimize(value, begin, jac=slope, method="BFGS", options={"gtol": 1e-6}).x
    for _ in range(4):
        beta = beta - np.linalg.solve(optimize.approx_fprime(beta, slope, 1e-6), slope(beta))
    if np.abs(slope(beta)).max() > 1e-7:
        raise RuntimeError("The slow fit did not reach its maximum.")
    mu, information, hat = parts(beta)
    augmented = (x.T * ((1 + penalty * hat) * mu * (1 - mu))) @ x
    se, plain = (np.sqrt(np.linalg.inv(item)[-1, -1]) for item in (augmented, information))
    return float(beta[-1]), float(se), float(plain)


def null_mean(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Return fitted chances of the covariates alone."""

    def slope(beta: np.ndarray) -> np.ndarray:
        mu = special.expit(x @ beta)
        w = mu * (1 - mu)
        hat = w * np.einsum("ni,in->n", x, np.linalg.solve((x.T * w) @ x, x.T))
        return x.T @ (y - mu + penalty * hat * (0.5 - mu))

    begin = np.zeros(x.shape[1])
    begin[0] = special.logit(y.mean())
    found = optimize.root(slope, begin, tol=1e-13)
    return special.expit(x @ found.x)


def beside(g: np.ndarray, x: np.ndarray, mu: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return a genotype with the covariates taken out, weighted, over the known calls."""
    w = (mu * (1 - mu))[known]
    own = x[known]
    coefficients = np.linalg.solve((own.T * w) @ own, (own.T * w) @ g[known])
    out = np.zeros(len(g))
    out[known] = g[known] - own @ coefficients
    return out


def slow_saddle(clean: np.ndarray, y: np.ndarray, mu: np.ndarray) -> float:
    """Return log10 of the two-sided p of a score by Lugannani and Rice, normal above p = 0.05."""
    score = float(clean @ (y - mu))
    plain = 2 * stats.norm.sf(abs(score) / np.sqrt((clean**2 * mu * (1 - mu)).sum()))
    if plain >= 0.05:
        return float(np.log10(plain))

    def chance(t: float) -> np.ndarray:
        return special.expit(clean * t + special.logit(mu))

    def tail(s: float) -> float:
        """Return P(S >= s) of s > 0, or P(S <= s) of s < 0."""
        low, high = sorted((0.0, np.sign(s) * 1e-3))
        while (clean @ (chance(high if s > 0 else low) - mu) - s) * np.sign(s) < 0:
            low, high = (low, 2 * high) if s > 0 else (2 * low, high)
            if max(abs(low), abs(high)) > 1e4:
                return np.nan
        t = optimize.brentq(lambda u: clean @ (chance(u) - mu) - s, low, high, xtol=1e-14)
        cgf = np.log1p(mu * np.expm1(clean * t)).sum() - t * (clean @ mu)
        at = chance(t)
        w = np.sign(t) * np.sqrt(2 * (t * s - cgf))
        v = t * np.sqrt((clean**2 * at * (1 - at)).sum())
        return float(stats.norm.sf(abs(w + np.log(v / w) / w)))

    return float(np.log10(tail(abs(score)) + tail(-abs(score))))


def slow_beside(clean: np.ndarray, y: np.ndarray, mu: np.ndarray, scored: float) -> float:
    """Return log10 p of the one-coefficient penalised likelihood ratio, below p = 0.05."""
    if scored >= np.log10(0.05):
        return scored
    eta = special.logit(mu)

    def value(beta: float) -> float:
        line = eta + beta * clean
        at = special.expit(line)
        information = (at * (1 - at) * clean**2).sum()
        return -float((y * line - np.logaddexp(0, line)).sum() + 0.5 * np.log(information))

    best = optimize.minimize_scalar(value, bracket=(-0.1, 0.1), method="golden", tol=1e-12)
    drop = 2 * (value(0.0) - best.fun)
    return float(stats.chi2.logsf(max(drop, 0.0), 1) / np.log(10))


def slow_row(g: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Return beta, se and log10 p of each kind of scan, and 1 where no maximum exists."""
    known = np.isfinite(g)
    design, outcome = np.column_stack([x, g])[known], y[known]
    none = separated(design, outcome)
    firth = slow_fit(design, outcome, 1.0)
    best = firth if none else slow_fit(design, outcome, 0.0)
    mu = null_mean(x, y, 0.0)
    clean = beside(g, x, mu, known)
    size = np.sqrt((clean**2 * mu * (1 - mu)).sum())
    scored = float(np.log10(2 * stats.norm.sf(abs(clean @ (y - mu)) / size)))
    wald = {"hybrid": best, "firth": firth}
    out: dict[str, tuple[float, ...]] = {
        name: (beta, se, (stats.norm.logsf(abs(beta / se)) + np.log(2)) / np.log(10))
        for name, (beta, se, _) in wald.items()
    }
    out["plain"] = best[2], firth[2]
    held = null_mean(x, y, 1.0)
    out["score"] = (slow_saddle(clean, y, mu),)
    out["approx-firth"] = (slow_beside(clean, y, held, scored),)
    return out | {"none": (float(none),)}


def differences(found: dict[str, float], slow: tuple[float, ...]) -> float:
    """Return the largest difference of beta and se, in standard errors, and of log10 p."""
    names = ("beta", "se", "log10p")[-len(slow) :]
    units = (slow[1], slow[1], 1.0) if len(slow) == 3 else (1.0,)
    each = [abs(found[name] - want) for name, want in zip(names, slow, strict=True)]
    return float(np.max(np.array(each) / units))


def by_plink(folder: Path, kind: str) -> pl.DataFrame:
    """Return PLINK 2's id, beta, se, p and whether Firth's fit was taken."""
    command = ["plink2", "--bfile", str(folder / "g"), "--pheno", str(folder / "cc.txt")]
    command += ["--covar", str(folder / "cov.txt"), "--covar-variance-standardize"]
    command += ["--glm", *kind.split(), "hide-covar", "cols=+beta,-orbeta,+se,+firth,+err,+ax"]
    subprocess.run([*command, "--out", str(folder / "p")], check=True, capture_output=True)
    name = "p.CC.glm.firth" if kind == "firth" else "p.CC.glm.logistic.hybrid"
    table = pl.read_csv(folder / name, separator="\t", infer_schema=False)
    (folder / name).unlink()
    numbers = {"BETA": "beta", "SE": "se", "P": "p"} if "SE" in table.columns else {}
    numbers |= {} if numbers else {"BETA": "beta", "LOG(OR)_SE": "se", "P": "p"}
    table = table.with_columns(
        pl.col(old).cast(pl.Float64, strict=False).alias(new) for old, new in numbers.items()
    )
    sign = pl.when(pl.col("A1") == pl.col("ALT")).then(1.0).otherwise(-1.0)
    firth = pl.col("FIRTH?") == "Y" if "FIRTH?" in table.columns else pl.lit(True)
    return table.select(pl.col("ID").alias("id"), pl.col("beta") * sign, "se", "p", firth=firth)


def main() -> None:
    """Print what agrees with what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1500)
    parser.add_argument("--variants", type=int, default=1500)
    parser.add_argument("--cases", type=float, default=0.05)
    parser.add_argument("--folder", help="where the files are to be left")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(options.folder or place)
        folder.mkdir(parents=True, exist_ok=True)
        write_study(folder, options.people, options.variants, options.cases)
        sys.exit(0 if check(folder) else 1)


def check(folder: Path) -> bool:
    """Scan, compute the notable rows again, print a row a comparison; return whether all agree."""
    genotypes = open_genotypes(folder / "g.bed")
    people = pl.read_csv(folder / "cc.txt", separator="\t").rename({"#FID": "FID"})
    covariates = pl.read_csv(folder / "cov.txt", separator="\t").rename({"#FID": "FID"})
    kinds = ("hybrid", "firth", "score", "approx-firth")
    tables = {}
    for kind in kinds:
        out = folder / f"{kind}.parquet"
        gwas(genotypes, people, covariates, model="logistic", test=kind, out=out)  # type: ignore[arg-type]
        tables[kind] = pl.read_parquet(out)
    x = np.column_stack([np.ones(people.height), covariates.drop("FID", "IID").to_numpy()])
    y = people["CC"].to_numpy() - 1.0
    dosage = genotypes.read(0, genotypes.n_variants).astype(float)
    copies = np.nansum(dosage, axis=1)
    few = np.minimum(copies, 2 * np.isfinite(dosage).sum(axis=1) - copies)
    notable = (few > 0) & (few <= _FEW)
    for table in tables.values():
        notable |= (few > 0) & (table["log10p"].to_numpy() < np.log10(0.05))
    worst = dict.fromkeys(kinds, 0.0)
    n_low, n_none = dict.fromkeys(kinds, 0), 0
    again: list[dict[str, object]] = []
    for row in np.flatnonzero(notable):
        slow = slow_row(dosage[row], x, y)
        n_none += int(slow["none"][0])
        both = {"firth-fallback": slow["plain"][0], "firth": slow["plain"][1]}
        again.append({"id": tables["hybrid"]["id"][int(row)], "none": slow["none"][0] > 0} | both)
        for kind, table in tables.items():
            found = table.row(int(row), named=True)
            worst[kind] = max(worst[kind], differences(found, slow[kind]))
            n_low[kind] += found["log10p"] < np.log10(0.05)
    print(
        f"{len(dosage)} variants, {int(y.sum())} cases of {len(y)}; {notable.sum()} rows computed"
    )
    print(f"again, {n_none} of them without a maximum of the likelihood\n")
    print(f"{'scan':24s} {'rows':>6s} {'p < 0.05':>9s} {'largest difference':>19s}  limit")
    good = True
    for kind in kinds:
        fine = worst[kind] <= _LIMITS[kind]
        good &= fine
        print(
            f"{kind:24s} {notable.sum():6d} {n_low[kind]:9d} {worst[kind]:19.1e}"
            f"  {_LIMITS[kind]:.0e}{'' if fine else '  OUTSIDE'}"
        )
    return compare_plink(folder, tables, pl.DataFrame(again)) and good


def compare_plink(folder: Path, tables: dict[str, pl.DataFrame], again: pl.DataFrame) -> bool:
    """Print how PLINK 2 agrees on the rows computed again; return whether it does.

    Its build a3.5 gives Firth's fit the standard error of the plain information, later ones that
    of the augmented data, as here: either will do.
    """
    if shutil.which("plink2") is None:
        print("plink2 is not on the path: not compared")
        return True
    good = True
    for name, kind in (("firth-fallback", "hybrid"), ("firth", "firth")):
        both = tables[kind].join(by_plink(folder, name), on="id", suffix="_plink")
        both = both.join(again.select("id", "none", plain=name), on="id")
        both = both.filter(pl.col("beta_plink").is_finite())
        off = [(pl.col(se) / pl.col("se_plink") - 1).abs() for se in ("se", "plain")]
        apart = both.with_columns(
            ((pl.col("beta") - pl.col("beta_plink")).abs() / pl.col("se")).alias("far"),
            pl.min_horizontal(off).alias("wide"),
        ).with_columns(worst=pl.max_horizontal("far", "wide"))
        worst = float(apart["worst"].max() or 0.0)
        other = apart.filter(pl.col("firth") != pl.col("none")).height if kind == "hybrid" else 0
        fine = worst <= _LIMITS[f"plink2 {name}"]
        good &= fine
        low = apart.filter(pl.col("p_plink") < 0.05).height
        print(
            f"{'plink2 ' + name:24s} {apart.height:6d} {low:9d} {worst:19.1e}"
            f"  {_LIMITS[f'plink2 {name}']:.0e}{'' if fine else '  OUTSIDE'}"
            f"   ({int(apart['firth'].sum())} by Firth's fit there, {other} other than here)"
        )
    return good


if __name__ == "__main__":
    main()
