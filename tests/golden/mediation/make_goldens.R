# Coefficients and likelihood-ratio tests of the models of a mediation, by R lm, glm and survival.
# Run: Rscript make_goldens.R
library(survival)
d <- read.csv("cohort.csv")
d$sex <- as.numeric(d$sex == "M")
a <- summary(lm(m ~ x + age + sex, d))$coefficients["x", ]
ly <- summary(lm(y ~ x + m + age + sex, d))$coefficients
g <- glm(case ~ x + m + age + sex, binomial, d, control = list(epsilon = 1e-14, maxit = 100))
g0 <- glm(case ~ x + age + sex, binomial, d, control = list(epsilon = 1e-14, maxit = 100))
s <- coxph(Surv(time, event) ~ x + m + age + sex, d, control = coxph.control(eps = 1e-14, iter.max = 100))
s0 <- coxph(Surv(time, event) ~ x + age + sex, d, control = coxph.control(eps = 1e-14, iter.max = 100))
lr <- function(full, less) pchisq(2 * (logLik(full) - logLik(less))[1], 1, lower.tail = FALSE)
w <- rep(c(0, 1, 2, 1), 40)
sw <- coxph(Surv(time, event) ~ x + m + age + sex, d[w > 0, ], weights = w[w > 0],
            control = coxph.control(eps = 1e-14, iter.max = 100))
gc <- summary(g)$coefficients
out <- data.frame(
  name = c("a", "linear_b", "linear_direct", "logistic_b", "logistic_direct", "cox_b", "cox_direct",
           "cox_total", "cox_weighted_m", "cox_weighted_x"),
  value = c(a[1], ly["m", 1], ly["x", 1], gc["m", 1], gc["x", 1], coef(s)["m"], coef(s)["x"],
            coef(s0)["x"], coef(sw)["m"], coef(sw)["x"]),
  se = c(a[2], ly["m", 2], ly["x", 2], gc["m", 2], gc["x", 2], sqrt(diag(vcov(s)))[2:1], sqrt(vcov(s0)[1, 1]), NA, NA),
  p = c(a[4], ly["m", 4], ly["x", 4], lr(g, g0), NA, lr(s, s0), NA, NA, NA, NA))
for (n in c("value", "se", "p")) out[[n]] <- ifelse(is.na(out[[n]]), "", sprintf("%.15g", out[[n]]))
write.csv(out, "expected.csv", row.names = FALSE, quote = FALSE)
