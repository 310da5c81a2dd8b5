# Interaction of variants with a treatment: Cox models (Wald, model-based and Lin-Wei) by survival,
# linear and logistic ones by PLINK 2 (on the path). Run in this folder: Rscript interaction.R
library(survival)
set.seed(41)
n <- 220
age <- round(rnorm(n, 60, 9), 3); arm <- rbinom(n, 1, 0.5)
freq <- c(0.5, 0.4, 0.3, 0.2, 0.15, 0.3)
g <- sapply(freq, function(f) rbinom(n, 2, f))
g[sample(n, 15), 6] <- NA
volume <- round(0.02 * age + 0.4 * arm + (0.2 + 0.5 * arm) * g[, 2] + rnorm(n), 5)
volume[sample(n, 6)] <- NA
case <- rbinom(n, 1, plogis(-1 + 0.03 * (age - 60) + 0.7 * arm * g[, 3]))
hazard <- exp(0.03 * (age - 60) + 0.8 * arm * g[, 2])
time <- pmax(1, round(rexp(n) * 20 / hazard)); limit <- round(runif(n, 5, 60))
event <- as.integer(time <= limit); time <- pmin(time, limit)
data <- data.frame(sample = sprintf("s%d", 1:n), volume, case, time, event, age, arm, g)
write.csv(data, "interaction_input.csv", row.names = FALSE, quote = FALSE)
rows <- lapply(seq_along(freq), function(j) {
  d <- data.frame(time, event, age, arm, x = g[, j], id = 1:n)
  d <- d[!is.na(d$x), ]
  exact <- coxph.control(eps = 1e-11, toler.chol = 1e-12, iter.max = 50)
  fit <- coxph(Surv(time, event) ~ age + arm * x, d, control = exact)
  sandwich <- coxph(Surv(time, event) ~ age + arm * x, d, control = exact, robust = TRUE)
  b <- coef(fit)[c("x", "arm:x")]; v <- vcov(fit)[c("x", "arm:x"), c("x", "arm:x")]
  r <- vcov(sandwich)[c("x", "arm:x"), c("x", "arm:x")]
  data.frame(variant = j, n = nrow(d), main = b[1], beta = b[2], se = sqrt(v[2, 2]), se_main = sqrt(v[1, 1]),
             joint = b %*% solve(v) %*% b, robust = sqrt(r[2, 2]), robust_joint = b %*% solve(r) %*% b)
})
write.csv(format(do.call(rbind, rows), digits = 15, trim = TRUE), "interaction_cox.csv",
          row.names = FALSE, quote = FALSE)
ped <- do.call(cbind, lapply(seq_along(freq), function(j) {
  a <- c("A A", "A C", "C C")[g[, j] + 1]; ifelse(is.na(a), "0 0", a)
}))
id <- data$sample
folder <- tempfile(); dir.create(folder); home <- setwd(folder)
put <- function(x, name, header) write.table(x, name, quote = FALSE, row.names = FALSE, col.names = header, sep = "\t")
put(data.frame(id, id, 0, 0, 1, -9, ped), "x.ped", FALSE)
put(data.frame(1, paste0("v", seq_along(freq)), 0, seq_along(freq)), "x.map", FALSE)
put(data.frame(FID = id, IID = id, volume, case = case + 1), "pheno.txt", TRUE)
put(data.frame(FID = id, IID = id, age, arm), "covar.txt", TRUE)
system("plink2 --pedmap x --pheno pheno.txt --covar covar.txt --glm interaction no-firth --parameters 1-3,5 --out z")
setwd(home)
for (name in c("volume.glm.linear", "case.glm.logistic")) {
  table <- read.delim(file.path(folder, paste0("z.", name)), check.names = FALSE, colClasses = "character")
  table <- table[table$TEST %in% c("ADD", "ADDxarm"), ]
  effect <- if ("BETA" %in% names(table)) table$BETA else table$OR
  error <- if ("SE" %in% names(table)) table$SE else table[["LOG(OR)_SE"]]
  out <- data.frame(id = table$ID, a1 = table$A1, test = table$TEST, n = table$OBS_CT, effect, error,
                    statistic = table[[grep("_STAT$", names(table))]], p = table$P)
  write.csv(out, sprintf("interaction_%s.csv", sub("\\..*", "", name)), row.names = FALSE, quote = FALSE)
}
version <- system("plink2 --version", intern = TRUE)
writeLines(c(R.version.string, paste("survival", packageVersion("survival")), version), "interaction_versions.txt")
