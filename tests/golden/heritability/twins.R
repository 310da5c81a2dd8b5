# ACE models of simulated twins by mets::twinlm (maximum likelihood).
# Run: Rscript twins.R; R 4.2.2, mets 1.3.2. Writes twins.csv (the data) and twins_ace.csv.
suppressMessages(library(mets))
set.seed(11)
one <- function(n, zyg, a2, c2) {
  g <- if (zyg == "MZ") 1 else 0.5
  common <- rnorm(n)
  shared <- rnorm(n)
  own <- function() if (g == 1) 0 else rnorm(n)
  a1 <- sqrt(g) * shared + sqrt(1 - g) * own()
  a2_ <- sqrt(g) * shared + sqrt(1 - g) * own()
  age <- rnorm(n)
  y <- function(a) sqrt(a2) * a + sqrt(c2) * common + sqrt(1 - a2 - c2) * rnorm(n) + 0.5 * age
  data.frame(pair = rep(paste0(zyg, seq_len(n)), 2), zygosity = zyg, age = rep(age, 2),
             y = c(y(a1), y(a2_)))
}
d <- rbind(one(180, "MZ", 0.45, 0.2), one(220, "DZ", 0.45, 0.2))
d$sample <- paste0("t", seq_len(nrow(d)))
d$y <- round(d$y, 6)
d$age <- round(d$age, 6)
write.csv(d[, c("sample", "pair", "zygosity", "age", "y")], "twins.csv", row.names = FALSE,
          quote = FALSE)
out <- NULL
for (type in c("ace", "ae", "ce", "e")) {
  fit <- twinlm(y ~ age, data = d, DZ = "DZ", zyg = "zygosity", id = "pair", type = type)
  s <- summary(fit)
  v <- coef(fit)
  out <- rbind(out, data.frame(model = toupper(type), log_likelihood = as.numeric(logLik(fit)),
    what = names(v), value = as.numeric(v)))
}
write.csv(out, "twins_ace.csv", row.names = FALSE, quote = FALSE)
print(summary(twinlm(y ~ age, data = d, DZ = "DZ", zyg = "zygosity", id = "pair", type = "ace")))
