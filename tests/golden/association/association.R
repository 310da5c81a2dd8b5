# Golden values of association tests, made with
#   R 4.2.2, logistf 1.26.1, limma 3.54.1, edgeR 3.40.2, MASS 7.3-58.2.
# Run: Rscript association.R (writes the CSV files beside this script).
suppressMessages({library(logistf); library(limma); library(edgeR); library(MASS)})
options(digits = 17)
save <- function(x, name) write.csv(x, paste0(name, ".csv"), row.names = FALSE)

# Logistic data: one sparse carrier column, one separated case.
set.seed(1)
n <- 50
d <- data.frame(z1 = rnorm(n), z2 = rbinom(n, 1, 0.4), x = rbinom(n, 1, 0.15))
d$y <- rbinom(n, 1, plogis(-0.5 + d$z1))
d$separated <- as.integer(d$x == 1 | d$y == 1)
save(d, "logistic_input")
control <- logistf.control(maxit = 1000, lconv = 1e-12, gconv = 1e-12, xconv = 1e-12)
plcontrol <- logistpl.control(maxit = 10000, lconv = 1e-10, xconv = 1e-10)
rows <- list()
for (outcome in c("y", "separated")) {
  fit <- logistf(as.formula(paste(outcome, "~ z1 + z2 + x")), data = d, pl = TRUE,
                 control = control, plcontrol = plcontrol)
  rows[[outcome]] <- data.frame(outcome = outcome, term = names(coef(fit)), coef = coef(fit),
    se = sqrt(diag(fit$var)), low = fit$ci.lower, high = fit$ci.upper, p = fit$prob)
}
save(do.call(rbind, rows), "logistf")

# Moderated t of 200 features, a planted shift in the first 20.
set.seed(2)
m <- 200; n <- 12
group <- rep(0:1, each = 6); batch <- rep(0:1, 6)
e <- matrix(rnorm(m * n), m) * sqrt(1 / rgamma(m, 3, 3))
e[1:20, ] <- e[1:20, ] + outer(rep(1.5, 20), group)
e <- round(e, 6)
save(data.frame(group, batch, t(e)), "limma_input")
fit <- eBayes(lmFit(e, model.matrix(~ batch + group)))
save(data.frame(effect = fit$coefficients[, 3], t = fit$t[, 3], p = fit$p.value[, 3],
  df_total = fit$df.total, s2_post = fit$s2.post, df_prior = fit$df.prior,
  s2_prior = fit$s2.prior), "limma")

# Counts: negative binomial with an offset, TMM and median-ratio factors.
set.seed(3)
n <- 40
x <- rnorm(n); z <- rnorm(n); size <- exp(rnorm(n, 0, 0.3))
counts <- rnbinom(n, mu = size * exp(2 + 0.4 * x - 0.2 * z), size = 2)
save(data.frame(y = counts, x, z, offset = log(size)), "negbinom_input")
fit <- glm.nb(y ~ z + x + offset(offset), data = data.frame(y = counts, x, z, offset = log(size)),
              control = glm.control(epsilon = 1e-14, maxit = 200))
s <- summary(fit)$coefficients
save(data.frame(term = rownames(s), coef = s[, 1], se = s[, 2], size = fit$theta,
  log_likelihood = as.numeric(logLik(fit))), "negbinom")
k <- matrix(rnbinom(300 * 6, mu = rep(exp(rnorm(300, 3, 1.5)), 6), size = 3), 300)
k[1:30, 1] <- k[1:30, 1] * 8
save(t(k), "counts_input")
save(data.frame(tmm = calcNormFactors(k)), "tmm")
