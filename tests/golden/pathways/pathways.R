# Golden values of gene-set scores, made with R 4.2.2, GSVA 1.46.0.
# Run: Rscript pathways.R (writes the CSV files beside this script).
suppressMessages(library(GSVA))
options(digits = 17)
save <- function(x, name) write.csv(x, paste0(name, ".csv"), row.names = FALSE)

set.seed(11)
p <- 80; n <- 12
x <- matrix(rnorm(p * n, rep(rnorm(p, 6, 2), n), rep(exp(rnorm(p, 0, 0.4)), n)), p)
x[1:15, 1:6] <- x[1:15, 1:6] + 1.2
x <- round(x, 6)
counts <- matrix(rnbinom(p * n, mu = rep(exp(rnorm(p, 4, 1.2)), n), size = 3), p)
genes <- paste0("g", seq_len(p)); samples <- paste0("s", seq_len(n))
dimnames(x) <- dimnames(counts) <- list(genes, samples)
save(data.frame(sample = samples, t(x)), "log_input")
save(data.frame(sample = samples, t(counts)), "counts_input")
sets <- list(planted = genes[1:15], random = genes[c(3, 20, 41, 42, 60, 77)],
             tail = genes[66:80], wide = genes[seq(2, 80, 2)])
save(data.frame(set = rep(names(sets), lengths(sets)), gene = unlist(sets)), "sets")
runs <- list(
  ssgsea = list(x, method = "ssgsea", ssgsea.norm = FALSE),
  ssgsea_norm = list(x, method = "ssgsea"),
  ssgsea_tau1 = list(x, method = "ssgsea", tau = 1, ssgsea.norm = FALSE),
  gsva = list(x, method = "gsva", kcdf = "Gaussian"),
  gsva_largest = list(x, method = "gsva", kcdf = "Gaussian", mx.diff = FALSE),
  gsva_absolute = list(x, method = "gsva", kcdf = "Gaussian", abs.ranking = TRUE),
  gsva_ecdf = list(x, method = "gsva", kcdf = "none"),
  gsva_poisson = list(counts, method = "gsva", kcdf = "Poisson"),
  zscore = list(x, method = "zscore"),
  plage = list(x, method = "plage"))
rows <- lapply(names(runs), function(name) {
  args <- runs[[name]]
  score <- do.call(gsva, c(list(args[[1]], sets, verbose = FALSE), args[-1]))
  data.frame(run = name, set = rep(rownames(score), n), sample = rep(samples, each = nrow(score)),
             score = as.vector(score))
})
save(do.call(rbind, rows), "gsva")
