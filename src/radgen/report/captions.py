"""Titles, descriptions and sizes of the plots that results know by name."""

from __future__ import annotations

__all__ = ["CAPTIONS", "caption_of"]

_NARROW = (4.6, 3.8)
_WIDE = (9.2, 3.6)

CAPTIONS: dict[str, tuple[str, str, tuple[float, float]]] = {
    "volcano": (
        "Volcano plot",
        "Effect of each pair against the strength of its evidence; marked pairs pass the "
        "adjusted threshold.",
        _NARROW,
    ),
    "manhattan": (
        "Manhattan plot",
        "Strength of evidence along the genome, chromosome by chromosome, with the genome-wide "
        "threshold.",
        _WIDE,
    ),
    "waterfall": (
        "Waterfall plot",
        "Best change of the measured size of each patient until progression, coloured by best "
        "response; dashed lines where progression and partial response begin.",
        _WIDE,
    ),
    "parts": (
        "Unique and common parts",
        "Share of the loss of a model without information that one table explains alone, or "
        "several explain alike, out of fold, with intervals.",
        _NARROW,
    ),
    "biopsy_predictions": (
        "Held-out predictions of biopsies",
        "Prediction of each biopsy by a model of other patients, a column a patient; hollow points "
        "are uncertain.",
        _WIDE,
    ),
    "biopsy_schemes": (
        "A patient left out, and a biopsy alone",
        "Held-out performance when whole patients are left out, beside what it would seem to be "
        "when other biopsies of the same patient are in training.",
        _NARROW,
    ),
    "swimmer": (
        "Course of each patient",
        "A bar a patient from baseline to the last that is known, with treatments in colour and "
        "events as marks; the longest followed on top.",
        (9.2, 5.2),
    ),
    "miami": (
        "Miami plot",
        "Two scans mirrored along the genome, evidence upward for the first and downward for "
        "the second.",
        (9.2, 4.8),
    ),
    "qq": (
        "QQ plot",
        "Observed against expected p-values with a 95 % band under the null, and the inflation "
        "factor.",
        _NARROW,
    ),
    "mr_scatter": (
        "Effects on exposure and outcome",
        "Each point is a variant with 95 % intervals; slopes are the estimated causal effects. "
        "Variants in the colour of warnings fit no common effect.",
        (5.6, 4.8),
    ),
    "mr_forest": (
        "Ratio of each variant",
        "The causal effect by each variant alone, the most precise ones, and all estimates.",
        (6.0, 6.0),
    ),
    "mr_funnel": (
        "Funnel",
        "Ratios against their precision; lopsided points hint at directional pleiotropy.",
        (5.0, 4.4),
    ),
    "leave_one_out": (
        "One variant left out",
        "The estimate without each variant in turn: no single one should carry it.",
        (6.0, 6.0),
    ),
    "coloc_region": (
        "Two scans of one region",
        "Evidence of the first trait upwards, of the second downwards; framed variants hold 95 % "
        "of the probability to be the shared one, the diamond is the likeliest.",
        (9.2, 4.8),
    ),
    "coloc_compare": (
        "Evidence compared",
        "Each variant by its evidence for both traits, coloured by its probability to be shared.",
        (5.2, 4.4),
    ),
    "coloc_prior": (
        "Posterior by prior",
        "What would be concluded with other prior probabilities of a shared variant.",
        (5.2, 4.4),
    ),
    "mediation_path": (
        "The strongest path",
        "Exposure, mediator and outcome with the coefficients of their paths; strong arrows are "
        "significant.",
        (7.0, 3.4),
    ),
    "mediation_forest": (
        "Indirect effects",
        "What runs through each mediator, the strongest paths first.",
        (6.4, 6.0),
    ),
    "map": (
        "Map",
        "Slices of the map in colour over the anatomy, or over the outline of the mask.",
        (9.2, 2.6),
    ),
    "phewas": (
        "One variant over all traits",
        "Strength of evidence for each trait, triangles pointing with the sign of the effect.",
        (9.2, 3.8),
    ),
    "regional": (
        "Regional plot",
        "Evidence around the lead variant, coloured by its correlation with the lead variant.",
        (9.2, 4.0),
    ),
    "heatmap": (
        "Heat map",
        "Effects of all pairs as a coloured grid.",
        (9.2, 5.6),
    ),
    "clustermap": (
        "Clustered heat map",
        "Effects as a coloured grid, rows and columns ordered by hierarchical clustering.",
        (9.2, 6.0),
    ),
    "method_comparison": (
        "Held-out association of each method",
        "Correlation of the first pair of scores in held-out people with its interval, a row a "
        "method, above dots of the same procedure on permuted data.",
        (9.2, 4.4),
    ),
    "method_agreement": (
        "What the methods agree on",
        "Share of each method's squared variant weights by gene, methods in rows.",
        (9.2, 4.2),
    ),
    "gene_loadings": (
        "Genes",
        "Share of the squared variant weights of each gene, the largest first.",
        (4.6, 5.2),
    ),
    "phenotype_loadings": (
        "Phenotypes",
        "Weights of the phenotypes, the strongest first.",
        (4.6, 5.2),
    ),
    "forest": (
        "Forest plot",
        "Effect of each row with its confidence interval beside the line of no effect.",
        (9.2, 4.2),
    ),
    "circos": (
        "Circle of links",
        "The strongest pairs as ribbons across a ring: families of image phenotypes on the left, "
        "chromosomes (or layers, where places are unknown) on the right; width is the evidence, "
        "colour the sign of the effect, outlines do not pass the adjusted level.",
        (9.2, 8.8),
    ),
    "roc": (
        "ROC curve",
        "Sensitivity against one minus specificity of out-of-fold predictions, a curve a model.",
        _NARROW,
    ),
    "precision_recall": (
        "Precision and recall",
        "Positive predictive value against sensitivity, with the prevalence as baseline.",
        _NARROW,
    ),
    "calibration": (
        "Calibration",
        "Observed against predicted risk with confidence intervals and the ideal diagonal.",
        _NARROW,
    ),
    "decision_curve": (
        "Decision curve",
        "Net benefit of acting on the model over threshold probabilities, beside treating all "
        "and treating none.",
        _NARROW,
    ),
    "kaplan_meier": (
        "Kaplan–Meier curves",
        "Survival by group with confidence bands, censoring marks and the numbers at risk.",
        (5.6, 4.6),
    ),
    "module_trait": (
        "Modules and image traits",
        "Correlation of each expression module with each image trait.",
        (9.2, 5.0),
    ),
    "module_tree": (
        "Tree of image traits",
        "Splits of samples by image traits over the expression of the module's genes, samples "
        "sorted by leaf.",
        (9.2, 7.2),
    ),
    "held_out": (
        "Prediction of held-out samples",
        "Performance of each trait's model in samples that it did not see, with its interval.",
        (9.2, 4.6),
    ),
    "surrogate_hazards": (
        "Hazard ratios of predicted traits",
        "Hazard ratio of each predicted trait with two intervals: the prediction taken for given, "
        "and with the learner's uncertainty.",
        (9.2, 5.2),
    ),
    "predicted_km": (
        "Survival by predicted trait",
        "Kaplan–Meier curves of thirds of the predicted trait with the smallest p.",
        (5.6, 4.6),
    ),
    "ranking": (
        "Strongest pairs",
        "Score of each of the strongest pairs of phenotype and gene set; size of the point is the "
        "size of the set, filled points pass the adjusted level.",
        (9.2, 5.6),
    ),
    "oncoprint": (
        "Oncoprint",
        "Altered genes of each sample, the commonest gene on top.",
        (9.2, 4.2),
    ),
    "targets": (
        "Targets",
        "Main measure of the fullest model of each target with its confidence interval.",
        (9.2, 4.2),
    ),
    "curve": (
        "Learning curve",
        "Performance in the same test patients against the number of training patients.",
        _NARROW,
    ),
    "interactions": (
        "Treatment by marker",
        "Ratio of treatment effects a standard deviation of the marker apart, with its interval; "
        "1 (or 0 for differences) means that the marker is not predictive.",
        (9.2, 4.2),
    ),
    "gain": (
        "Gain of treating by expected benefit",
        "Counterfactual gain over treating nobody, for the share with the largest expected "
        "benefit and for the same share at random.",
        _NARROW,
    ),
    "incidence": (
        "Cumulative incidence",
        "Probability of each cause over time, by group, the other causes competing.",
        (5.6, 4.2),
    ),
    "km": (
        "Kaplan–Meier curves",
        "Share of patients without the event over time, by group, with the number at risk below.",
        (5.6, 4.6),
    ),
    "effects": (
        "Effects in both cohorts",
        "Effect of each locked hypothesis in the discovery and in the replication cohort.",
        _NARROW,
    ),
    "flow": (
        "Scans and specimens matched",
        "How many scans and specimens are left after each rule, and how many each rule took.",
        _WIDE,
    ),
    "pair": (
        "One pair",
        "Phenotype of each sample against the molecular feature, with the fitted association.",
        _NARROW,
    ),
    "outcome": (
        "Signature and outcome",
        "Outcome of the groups that the published cut-off makes, or against the score.",
        (5.6, 4.6),
    ),
    "preservation": (
        "Preservation of modules",
        "Preservation of each module in the other cohort against its size, with the usual bounds "
        "of weak and strong evidence.",
        _NARROW,
    ),
    "scatter": (
        "Score and trait",
        "Predicted against measured trait of each person, out of fold.",
        _NARROW,
    ),
    "ld_scores": (
        "Chi-square by LD score",
        "Mean chi-square of variants in bins of LD score, with the fitted line: its slope is the "
        "heritability, its start above 1 is confounding.",
        _NARROW,
    ),
    "gap": (
        "Gap statistic",
        "Gap between the clustering of the data and of data without groups, by number of groups.",
        _NARROW,
    ),
    "icc": (
        "Agreement of repeated measurements",
        "Intraclass correlation of phenotypes with its interval, best first and evenly over the "
        "ranking; the dashed line is the threshold.",
        (9.2, 6.8),
    ),
    "bland_altman": (
        "Bland–Altman plot",
        "Difference of two measurements against their mean with the limits of agreement.",
        _NARROW,
    ),
}


def caption_of(kind: str) -> tuple[str, str, tuple[float, float]]:
    """Return title, description and size in inches of a plot kind."""
    if kind in CAPTIONS:
        return CAPTIONS[kind]
    title = kind.replace("_", " ").strip().capitalize()
    return title, f"{title} of this result; its numbers stand in the table below.", _NARROW
