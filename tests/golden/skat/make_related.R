# Set tests of related people: SKAT_NULL_emmaX of the R package SKAT 2.2.5 for the quantitative
# trait, glmmkin of GMMAT 1.4.2 (its plain R path) for the binary trait and the same tests of SKAT
# on its P and residuals, which is SMMAT. Both iterate further than they do by themselves: emmaX's
# uniroot to 1e-12 (1e-4 as shipped), glmmkin to 1e-10, Davies' method to 1e-9 (1e-6). SKAT-O's integral as in make_skato.R.
# Run with the folder of the SAIGE example and GMMAT's glmmkin.R as arguments:
#   Rscript make_related.R FOLDER glmmkin.R > related.csv
arguments <- commandArgs(TRUE); folder <- arguments[1]
suppressMessages(library(SKAT))
changed <- function(f, ...) {
  text <- paste(deparse(f, width.cutoff = 500), collapse = "\n")
  for (pair in list(...)) {
    stopifnot(grepl(pair[1], text, fixed = TRUE))
    text <- gsub(pair[1], pair[2], text, fixed = TRUE)
  }
  out <- eval(parse(text = text)); environment(out) <- environment(f); out
}
swap <- function(name, ...) {
  assignInNamespace(name, changed(getFromNamespace(name, "SKAT"), ...), "SKAT")
}
swap("SKAT_NULL_emmaX", c("lambda = eig.R$values, etas = etas)",
                          "lambda = eig.R$values, etas = etas, tol = 1e-12)"))
swap("SKAT_Optimal_PValue_Davies",
     c("abs.tol = 10^-25", "abs.tol = 10^-25, rel.tol = 1e-8, stop.on.error = FALSE"))
swap("SKAT_Optimal_Integrate_Func_Davies",
     c("acc = 10^(-6)", "acc = 1e-9, lim = 1000000"))
swap("Get_PValue.Lambda", c("acc = 10^(-6)", "acc = 1e-9, lim = 1000000"))

prefix <- file.path(folder, "plinkforGRM_1000samples_10kMarkers")
fam <- read.table(paste0(prefix, ".fam")); bim <- read.table(paste0(prefix, ".bim"))
n <- nrow(fam); m <- nrow(bim)
raw <- as.integer(readBin(paste0(prefix, ".bed"), "raw", 3 + m * ceiling(n / 4))[-(1:3)])
two <- rbind(raw %% 4, raw %/% 4 %% 4, raw %/% 16 %% 4, raw %/% 64)
g <- matrix(c(2, NA, 1, 0)[two + 1], ncol = m)[1:n, ]
p <- colMeans(g, na.rm = TRUE) / 2
vary <- p > 0 & p < 1
k <- tcrossprod(sweep(sweep(g[, vary], 2, 2 * p[vary]), 2, sqrt(2 * p[vary] * (1 - p[vary])), "/"))
k <- k / sum(vary); dimnames(k) <- list(fam$V2, fam$V2)
stopifnot(!anyNA(g))
people <- read.table(file.path(folder,
  "pheno_1000samples.txt_withdosages_withBothTraitTypes.txt"), header = TRUE)
people <- people[match(fam$V2, people$IID), ]

source(textConnection(gsub("n < 2^15.5", "FALSE", readLines(arguments[2]), fixed = TRUE)))
linear <- SKAT_NULL_emmaX(y_quantitative ~ x1 + x2, data = people, K = k)
fit <- glmmkin(y_binary ~ x1 + x2, data = people, kins = k, id = "IID", tol = 1e-10)
logistic <- linear
logistic$P <- as.matrix(fit$P); logistic$res <- matrix(fit$scaled.residuals)
rows <- list()
for (number in 1:6) {
  # The rarer allele is counted: all sets are 12 variants side by side of the 3000 rarest.
  rare <- sort(order(pmin(p, 1 - p) + 1 * !vary)[1:3000])
  columns <- rare[(number - 1) * 12 + 1:12]
  for (kind in c("linear", "logistic")) {
    null <- get(kind)
    skat <- SKAT(g[, columns], null)
    rows[[length(rows) + 1]] <- data.frame(
      model = kind, set = number, variants = paste(bim$V2[columns], collapse = " "),
      q_skat = skat$Q[1, 1], p_skat = skat$p.value,
      p_burden = SKAT(g[, columns], null, r.corr = 1)$p.value,
      p_skato = SKAT(g[, columns], null, method = "optimal.adj")$p.value,
      genetic = if (kind == "linear") linear$va else fit$theta[[2]],
      residual = if (kind == "linear") linear$ve else 1)
  }
}
options(digits = 15)
write.csv(do.call(rbind, rows), row.names = FALSE, quote = FALSE)
