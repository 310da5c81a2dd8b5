# Inverse correlation matrices of the graphical lasso. Run in this folder: Rscript network.R
# Packages: R 4.2.2, glasso; versions are written to versions.txt.
library(glasso)
set.seed(8)
chain <- diag(8); chain[abs(row(chain) - col(chain)) == 1] <- -0.45
x <- matrix(rnorm(60 * 8), 60) %*% chol(solve(chain))
write.csv(format(as.data.frame(x), digits = 12), "input.csv", row.names = FALSE, quote = FALSE)
found <- lapply(c(0.1, 0.25), function(rho)
  glasso(cor(x), rho = rho, penalize.diagonal = FALSE, thr = 1e-9)$wi)
write.csv(format(as.data.frame(do.call(rbind, found)), digits = 12), "precision.csv",
          row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("glasso", packageVersion("glasso"))), "versions.txt")
