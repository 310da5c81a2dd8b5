# Reference values of agreement. Run in this folder: Rscript reliability.R
# Packages: R 4.2.2, psych, epiR; versions are written to versions.txt.
suppressMessages({library(psych); library(epiR)})
set.seed(4)
write_table <- function(x, name) write.csv(format(as.data.frame(x), digits = 12), name,
                                           row.names = FALSE, quote = FALSE)
shrout <- matrix(c(9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7),
                 ncol = 4, byrow = TRUE)
ratings <- round(rnorm(25, sd = 2) + matrix(rnorm(75), 25) + rep(c(0, 0.4, -0.3), each = 25), 3)
write_table(ratings, "ratings.csv")
one <- function(x) ICC(x, lmer = FALSE)$results[, c("ICC", "lower bound", "upper bound")]
write_table(rbind(one(shrout), one(ratings)), "icc.csv")
pairs <- data.frame(first = round(rnorm(22, 5), 3))
pairs$second <- round(pairs$first + 0.3 + rnorm(22, sd = 0.6), 3)
write_table(pairs, "pairs.csv")
write_table(epi.ccc(pairs$first, pairs$second, ci = "z-transform")$rho.c, "ccc.csv")
writeLines(c(R.version.string, paste("psych", packageVersion("psych")),
             paste("epiR", packageVersion("epiR"))), "versions.txt")
