# Mendelian randomisation of effects.csv by TwoSampleMR 0.6 (mr.R and mr_mode.R of commit c14776b8,
# which need base R only) and, for the Wald ratios, metafor 3.8-1.
# Run: Rscript make_goldens.R FOLDER_OF_mr.R
folder <- commandArgs(TRUE)[1]
source(file.path(folder, "mr.R"))
library(metafor)
d <- read.csv("effects.csv")
p <- default_parameters()
row <- function(method, value, se = NA, pval = NA, q = NA)
  data.frame(method = method, value = value, se = se, p = pval, q = q)
ivw <- mr_ivw(d$bx, d$by, d$sx, d$sy, p)
fe <- mr_ivw_fe(d$bx, d$by, d$sx, d$sy, p)
eg <- mr_egger_regression(d$bx, d$by, d$sx, d$sy, p)
med <- weighted_median(d$by / d$bx, (d$bx / d$sy)^2)
fixed <- rma(d$by / d$bx, sei = d$sy / abs(d$bx), method = "EE")
# Isq of TwoSampleMR and MendelianRandomization, weighted by the outcome's precision.
y <- abs(d$bx) / d$sy; s <- d$sx / d$sy
het <- rma(y, sei = s, method = "EE")
isq <- max(0, (het$QE - (nrow(d) - 1)) / het$QE)
few <- d[1:4, ]
med4 <- weighted_median(few$by / few$bx, (few$bx / few$sy)^2)
# Steiger's test of two independent correlations (psych::r.test).
r2 <- function(b, s, n) { f <- (b / s)^2; f / (f + n - 2) }
rx <- sqrt(sum(r2(d$bx, d$sx, d$nx))); ry <- sqrt(sum(r2(d$by, d$sy, d$ny)))
z <- (atanh(rx) - atanh(ry)) / sqrt(1 / (mean(d$nx) - 3) + 1 / (mean(d$ny) - 3))
out <- rbind(
  row("ivw", ivw$b, ivw$se, NA, ivw$Q),
  row("ivw_fixed", fe$b, fe$se, fe$pval, fe$Q),
  row("metafor_fixed", c(fixed$b), fixed$se, fixed$pval, fixed$QE),
  row("egger", eg$b, eg$se, eg$pval, eg$Q),
  row("egger_intercept", eg$b_i, eg$se_i, eg$pval_i, eg$Q),
  row("weighted_median", med), row("weighted_median_4", med4),
  row("i2_gx", isq), row("steiger_z", z, NA, 2 * pnorm(-abs(z))))
loo <- sapply(seq_len(nrow(d)), function(i)
  with(d[-i, ], mr_ivw(bx, by, sx, sy, p)$b))
out <- rbind(out, data.frame(method = paste0("without_", seq_along(loo)), value = loo, se = NA, p = NA, q = NA))
# Generalised IVW and Egger with the correlation 0.5^|i-j| of variants, by weighted least squares.
rho <- 0.5^abs(outer(1:25, 1:25, "-")); om <- outer(d$sy, d$sy) * rho
th <- c(solve(t(d$bx) %*% solve(om) %*% d$bx) %*% t(d$bx) %*% solve(om) %*% d$by)
rse <- sqrt(c(t(d$by - th * d$bx) %*% solve(om) %*% (d$by - th * d$bx)) / 24)
seg <- sqrt(c(solve(t(d$bx) %*% solve(om) %*% d$bx))) * max(1, rse)
sg <- sign(d$bx); omE <- om * outer(sg, sg); X <- cbind(1, abs(d$bx)); yb <- d$by * sg
thE <- solve(t(X) %*% solve(omE) %*% X) %*% t(X) %*% solve(omE) %*% yb
out <- rbind(out, row("ivw_correlated", th, seg), row("egger_correlated", thE[2]),
             row("egger_intercept_correlated", thE[1]))
for (name in names(out)[-1])
  out[[name]] <- ifelse(is.na(out[[name]]), "", sprintf("%.15g", out[[name]]))
write.csv(out, "expected.csv", row.names = FALSE, quote = FALSE)
