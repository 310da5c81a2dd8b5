# Reference values of harmonisation. Run in this folder:
#   Rscript harmonise.R FOLDER
# FOLDER holds sources that are on no registry, each under its own licence:
#   covbat_combat.R, covbat_covbat.R, covbat_utils.R   andy1764/CovBat_Harmonization R/R at 1ca2942
#   longCombat.R                                       jcbeer/longCombat at 9b3cc36
#   comfam.R                                           andy1764/ComBatFamily at 0d3df16
# Packages: R 4.2.2, lme4, mgcv, matrixStats, sva; versions are written to versions.txt.
suppressMessages({library(lme4); library(mgcv); library(matrixStats); library(sva)})
folder <- commandArgs(trailingOnly = TRUE)[1]
for (f in c("covbat_combat.R", "covbat_covbat.R", "covbat_utils.R", "longCombat.R", "comfam.R"))
  source(file.path(folder, f))
write_table <- function(x, name) write.csv(format(as.data.frame(x), digits = 12), name,
                                           row.names = FALSE, quote = FALSE)
set.seed(11)
n_subjects <- 30
visits <- sample(1:4, n_subjects, replace = TRUE)
id <- rep(seq_len(n_subjects), visits)
n <- length(id)
age <- round(rep(runif(n_subjects, 20, 80), visits) + sequence(visits), 1)
sex <- rep(rbinom(n_subjects, 1, 0.5), visits)
site <- sample(c("a", "b", "c"), n, replace = TRUE, prob = c(0.4, 0.35, 0.25))
p <- 12
own <- matrix(rnorm(n_subjects * p), n_subjects)[id, ]
mix <- matrix(rnorm(p * p), p) / 2
noise <- matrix(rnorm(n * p), n)
for (s in c("a", "b", "c")) noise[site == s, ] <- noise[site == s, ] %*% (diag(p) + mix * (s == "b"))
bend <- outer(sin(age / 12), seq(0, 2, length.out = p))
shift <- matrix(rnorm(3 * p), 3)[match(site, c("a", "b", "c")), ]
y <- round(own + noise + bend + shift + 0.3 * sex + 5, 4)
colnames(y) <- paste0("f", seq_len(p))
input <- data.frame(id, site, age, sex, y)
write_table(input, "input.csv")
covariates <- cbind(age, sex)

for (eb in c(TRUE, FALSE)) {
  name <- if (eb) "covbat.csv" else "covbat_noeb.csv"
  write_table(t(covbat(t(y), site, mod = covariates, eb = eb, verbose = FALSE)$dat.covbat), name)
}
long <- longCombat("id", "age", "site", colnames(y), "age + sex", "(1|id)", niter = 200,
                   data = input, verbose = FALSE)
write_table(long$data_combat[, paste0(colnames(y), ".combat")], "longitudinal.csv")
fit <- lapply(colnames(y), function(v) lmer(as.formula(paste(v, "~ 0 + site + age + sex + (1|id)")),
  data = input, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10))))
write_table(cbind(t(sapply(fit, fixef)), sd_subject = sapply(fit, function(m) attr(VarCorr(m)$id, "stddev")),
                  sd_residual = sapply(fit, sigma), log_likelihood = sapply(fit, function(m) as.numeric(logLik(m)))),
            "lmer.csv")
write_table(sapply(fit, function(m) ranef(m)$id[, 1]), "lmer_intercepts.csv")
smooth <- comfam(y, factor(site), data.frame(age, sex), gam,
                 y ~ s(age, bs = "cr", k = 10) + sex, method = "REML")
write_table(smooth$dat.combat, "gam.csv")
second <- rowMeans(own[, 1:2]) + as.numeric(scale(age)) / 3
write_table(data.frame(second), "second.csv")
two <- lapply(colnames(y), function(v) gam(as.formula(paste(v,
  "~ 0 + site + s(age, bs = 'cr', k = 10) + s(second, bs = 'cr', k = 8)")),
  data = data.frame(input, second), method = "REML"))
write_table(sapply(two, fitted), "gam_two.csv")
write_table(t(sapply(two, function(m) summary(m)$edf)), "gam_two_edf.csv")
write_table(t(suppressMessages(ComBat(t(y), site, ref.batch = "b"))), "reference_batch.csv")
writeLines(c(R.version.string, sapply(c("lme4", "mgcv", "matrixStats", "sva"),
  function(k) paste(k, packageVersion(k)))), "versions.txt")
