# Golden values of competitive set tests, made with R 4.2.2, limma 3.54.1.
# Run: Rscript camera.R (writes the CSV files beside this script).
suppressMessages(library(limma))
options(digits = 17)
save <- function(x, name) write.csv(x, paste0(name, ".csv"), row.names = FALSE)

set.seed(21)
p <- 200; n <- 24
trait <- round(rnorm(n), 6); age <- round(rnorm(n, 60, 9), 3)
shared <- rnorm(n)
y <- matrix(rnorm(p * n), p) * sqrt(1 / rgamma(p, 4, 4))
y[1:20, ] <- y[1:20, ] + outer(rep(0.6, 20), trait)
y[41:60, ] <- y[41:60, ] + outer(rep(1, 20), shared)
y <- round(y, 6)
genes <- paste0("g", seq_len(p))
rownames(y) <- genes
save(data.frame(sample = paste0("s", 1:n), trait, age, t(y)), "input")
sets <- list(planted = genes[1:20], correlated = genes[41:60], random = genes[c(5, 70, 90, 101, 150)],
             mixed = genes[15:45])
save(data.frame(set = rep(names(sets), lengths(sets)), gene = unlist(sets)), "sets")
design <- model.matrix(~ age + trait)
index <- ids2indices(sets, genes)
table <- function(x, run) data.frame(run, set = rownames(x), direction = x$Direction, p = x$PValue,
  correlation = if (is.null(x$Correlation)) NA else x$Correlation)
fixed <- camera(y, index, design, inter.gene.cor = 0.01, sort = FALSE)
estimated <- camera(y, index, design, inter.gene.cor = NA, sort = FALSE)
# The same with exact z-scores of the moderated t instead of Bailey's approximation.
fit <- eBayes(lmFit(y, design))
z <- zscoreT(fit$t[, 3], fit$df.total, approx = FALSE)
exact <- cameraPR(z, index, inter.gene.cor = 0.01, sort = FALSE)
save(rbind(table(fixed, "bailey"), table(estimated, "estimated"), table(exact, "exact")), "camera")
save(data.frame(gene = genes, z = z), "z")
# Ranks: the same tests by Wilcoxon's sum, its variance inflated for the correlation.
ranked <- function(...) table(camera(y, index, design, use.ranks = TRUE, sort = FALSE, ...), "")
rank_fixed <- ranked(inter.gene.cor = 0.05); rank_fixed$run <- "ranks_0.05"
rank_free <- ranked(inter.gene.cor = NA); rank_free$run <- "ranks_estimated"
ties <- cameraPR(round(z), index, use.ranks = TRUE, inter.gene.cor = 0.05, sort = FALSE)
save(rbind(rank_fixed, rank_free, table(ties, "ranks_ties")), "camera_ranks")
