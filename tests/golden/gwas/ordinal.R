# Score tests of single variants in proportional-odds models, from the pieces of ordinal::clm: the
# gradient at the fit of the covariates alone, and the expected information, which is the observed
# one of a table where each person stands once a class with the fitted chance as weight.
# Run in this folder: Rscript ordinal.R
library(ordinal)
set.seed(31)
n <- 260
age <- rnorm(n, 60, 9); site <- sample(c("a", "b", "c"), n, TRUE)
freq <- c(0.5, 0.4, 0.3, 0.15, 0.05, 0.02, 0.3)
g <- sapply(freq, function(f) rbinom(n, 2, f))
g[sample(n, 20), 7] <- NA
latent <- 0.04 * (age - 60) + 0.5 * (site == "b") + 0.6 * g[, 2] + rlogis(n)
grade <- cut(latent, c(-Inf, -0.5, 0.8, 2, Inf), labels = FALSE)
grade[sample(n, 9)] <- NA
data <- data.frame(sample = sprintf("s%d", 1:n), grade, age, site, g)
write.csv(data, "ordinal_input.csv", row.names = FALSE, quote = FALSE)
tight <- clm.control(gradTol = 1e-10, maxIter = 200)
pieces <- function(d, weights, at) {
  env <- clm(y ~ age + site + x, data = d, weights = weights, doFit = FALSE)
  env$par <- at
  ordinal:::clm.nll(env)
  list(gradient = -ordinal:::clm.grad(env), information = ordinal:::clm.hess(env))
}
rows <- lapply(seq_along(freq), function(j) {
  d <- data.frame(y = factor(grade), age = (age - 60) / 9, site, x = g[, j])
  d <- d[complete.cases(d), ]
  null <- clm(y ~ age + site, data = d, control = tight)
  at <- c(null$alpha, null$beta, 0)
  chance <- predict(null, newdata = d[c("age", "site", "x")], type = "prob")$fit
  each <- d[rep(seq_len(nrow(d)), each = ncol(chance)), ]
  each$y <- factor(rep(levels(d$y), nrow(d)), levels = levels(d$y))
  u <- pieces(d, rep(1, nrow(d)), at)$gradient
  information <- pieces(each, as.vector(t(chance)), at)$information
  p <- length(at)
  variance <- 1 / solve(information)[p, p]
  full <- clm(y ~ age + site + x, data = d, control = tight)
  data.frame(variant = j, n = nrow(d), score = u[p], z = u[p] / sqrt(variance), beta = full$beta[["x"]],
             lr = 2 * (full$logLik - null$logLik))
})
out <- do.call(rbind, rows)
write.csv(format(out, digits = 15, trim = TRUE), "ordinal.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("ordinal", packageVersion("ordinal"))), "ordinal_versions.txt")
