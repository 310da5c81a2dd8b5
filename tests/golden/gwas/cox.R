# Score tests of single variants in Cox models, by survival::coxph started at the fit of the
# covariates alone and not iterated. Run in this folder: Rscript cox.R
library(survival)
set.seed(20)
n <- 160
age <- rnorm(n, 60, 9); site <- sample(c("a", "b", "c"), n, TRUE)
freq <- c(0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.3)
g <- sapply(freq, function(f) rbinom(n, 2, f))
g[sample(n, 12), 8] <- NA
hazard <- exp(0.03 * (age - 60) + 0.5 * (site == "b") + 0.8 * g[, 2])
# Whole months, so that events are tied.
time <- pmax(1, round(rexp(n) * 20 / hazard)); limit <- round(runif(n, 5, 60))
event <- as.integer(time <= limit); time <- pmin(time, limit)
data <- data.frame(sample = sprintf("s%d", 1:n), time, event, age, site, g)
write.csv(data, "cox_input.csv", row.names = FALSE, quote = FALSE)
rows <- lapply(seq_along(freq), function(j) {
  d <- data.frame(time, event, age, site, x = g[, j])
  d <- d[!is.na(d$x), ]
  null <- coxph(Surv(time, event) ~ age + site, d, control = coxph.control(eps = 1e-11, toler.chol = 1e-12, iter.max = 50))
  at <- coxph(Surv(time, event) ~ age + site + x, d, init = c(coef(null), 0),
              control = coxph.control(iter.max = 0))
  full <- coxph(Surv(time, event) ~ age + site + x, d)
  data.frame(variant = j, n = nrow(d), chisq = at$score, p = pchisq(at$score, 1, lower = FALSE),
             beta = coef(full)["x"])
})
out <- do.call(rbind, rows)
write.csv(format(out, digits = 15, trim = TRUE), "cox.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("survival", packageVersion("survival"))), "cox_versions.txt")
