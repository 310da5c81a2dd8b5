# Golden values of further association tests, made with
#   R 4.2.2, lmerTest 3.1-3, lme4 1.1-31, MASS 7.3-58.2, ordinal 2022.11-16, survival 3.5-3,
#   coin 1.4-2, sandwich 3.0-2, limma 3.54.1, edgeR 3.40.2.
# Run: Rscript tests.R (writes the CSV files beside this script).
suppressMessages({library(lmerTest); library(MASS); library(ordinal); library(survival)
                  library(coin); library(sandwich); library(limma); library(edgeR)})
options(digits = 17)
save <- function(x, name) write.csv(x, paste0(name, ".csv"), row.names = FALSE)

# Lesions of patients, unbalanced; one trait with a patient effect, one without, one strong.
set.seed(11)
sizes <- sample(1:5, 30, replace = TRUE)
patient <- rep(seq_along(sizes), sizes)
n <- length(patient)
d <- data.frame(patient, age = round(rnorm(30), 4)[patient], depth = round(rnorm(n), 4),
                mutation = rbinom(30, 1, 0.4)[patient], lesion = round(rnorm(n), 4))
u <- rnorm(30)[patient]
d$weak <- round(0.5 * d$mutation + 0.6 * u + 0.3 * d$age + rnorm(n), 5)
d$none <- round(rnorm(n), 5)
d$strong <- round(0.4 * d$lesion + 3 * u + rnorm(n), 5)
save(d, "lesions_input")
rows <- list()
for (trait in c("weak", "none", "strong")) for (x in c("mutation", "lesion")) {
  fit <- suppressMessages(lmer(as.formula(paste(trait, "~ age + depth +", x, "+ (1 | patient)")),
              data = d, control = lmerControl(optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12))))
  s <- summary(fit)$coefficients[x, ]
  v <- as.data.frame(VarCorr(fit))
  rows[[paste(trait, x)]] <- data.frame(trait, x, effect = s[1], se = s[2], df = s[3], t = s[4],
    p = s[5], between = v$vcov[1], within = v$vcov[2])
}
save(do.call(rbind, rows), "lmertest")

# Ordinal, Cox, interaction and HC3 with covariates.
set.seed(12)
n <- 90
d <- data.frame(age = round(rnorm(n), 4), sex = rbinom(n, 1, 0.5), x = round(rnorm(n), 4))
d$m <- rbinom(n, 1, 0.3)
d$grade <- as.integer(cut(0.7 * d$x + 0.4 * d$age + rlogis(n), c(-Inf, -1, 0.5, 2, Inf))) - 1
d$time <- round(rexp(n, exp(0.5 * d$x - 0.3 * d$sex)), 1) + 0.1
d$event <- rbinom(n, 1, 0.7)
d$y <- round(0.4 * d$x + 0.8 * d$m * d$age + rnorm(n) * (1 + 0.5 * d$m), 5)
d$b <- rbinom(n, 1, plogis(0.5 * d$x))
save(d, "clinic_input")
polr1 <- polr(factor(grade) ~ age + sex + x, data = d, Hess = TRUE,
              control = list(reltol = 1e-14, maxit = 1000))
clm1 <- clm(factor(grade) ~ age + sex + x, data = d, control = list(gradTol = 1e-10))
cox1 <- coxph(Surv(time, event) ~ age + sex + x, data = d, ties = "efron",
              control = coxph.control(eps = 1e-12, iter.max = 100))
ols <- lm(y ~ age + sex + m + m:age, data = d)
hc <- lm(y ~ age + sex + m, data = d)
glm1 <- glm(b ~ age + sex + x, data = d, family = binomial, control = list(epsilon = 1e-14))
row <- function(test, value, se, p) data.frame(test, value, se, p)
s <- summary(ols)$coefficients["age:m", ]
hcse <- sqrt(diag(vcovHC(hc, type = "HC3")))["m"]
g <- summary(glm1)$coefficients["x", ]
save(rbind(
  row("polr", coef(polr1)["x"], sqrt(vcov(polr1)["x", "x"]), NA),
  row("clm", coef(clm1)["x"], sqrt(vcov(clm1)["x", "x"]), NA),
  row("coxph", coef(cox1)["x"], sqrt(vcov(cox1)["x", "x"]), NA),
  row("interaction", s[1], s[2], s[4]),
  row("hc3", coef(hc)["m"], hcse, 2 * pt(-abs(coef(hc)["m"] / hcse), hc$df.residual)),
  row("glm", g[1], g[2], NA)), "models")

# Rank and table tests with ties, asymptotic.
set.seed(13)
n <- 60
d <- data.frame(y = round(rnorm(n), 1), g = rbinom(n, 1, 0.3), k = sample(0:3, n, replace = TRUE),
                b = rbinom(n, 1, 0.4))
save(d, "ranks_input")
f <- factor(d$k)
small <- data.frame(g = d$g, b = d$b)
save(rbind(
  row("kruskal_chi2", kruskal.test(d$y, f)$statistic, NA, kruskal.test(d$y, f)$p.value),
  row("wilcoxon", statistic(wilcox_test(y ~ factor(g), data = d)), NA,
      pvalue(wilcox_test(y ~ factor(g), data = d))),
  row("fisher", fisher.test(d$g, d$b)$estimate, NA, fisher.test(d$g, d$b)$p.value),
  row("chi2", chisq.test(d$k, d$b, correct = FALSE)$statistic, NA,
      suppressWarnings(chisq.test(d$k, d$b, correct = FALSE)$p.value)),
  row("trend", prop.trend.test(table(d$k, d$b)[, 2], rowSums(table(d$k, d$b)), 0:3)$statistic, NA,
      prop.trend.test(table(d$k, d$b)[, 2], rowSums(table(d$k, d$b)), 0:3)$p.value)), "ranks")

# Paired differential expression: tumour and edge of the same patients.
set.seed(14)
m <- 60
patient <- rep(1:8, each = 2); tumour <- rep(0:1, 8)
e <- round(matrix(rnorm(m * 16), m) + 2 * matrix(rnorm(m * 8), m)[, patient], 5)
e[1:6, ] <- e[1:6, ] + outer(rep(1.2, 6), tumour)
save(data.frame(patient, tumour, t(e)), "paired_input")
fit <- eBayes(lmFit(e, model.matrix(~ factor(patient) + tumour)))
save(data.frame(effect = fit$coefficients[, "tumour"], t = fit$t[, "tumour"],
  p = fit$p.value[, "tumour"], df_total = fit$df.total), "paired")
