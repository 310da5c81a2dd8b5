# Colocalisation of regions.csv by coloc 6 (claudia.R of commit 50fe529, base R only).
# Run: Rscript make_goldens.R FOLDER_OF_claudia.R
source(file.path(commandArgs(TRUE)[1], "claudia.R"))
d <- read.csv("regions.csv")
rows <- list()
for (r in unique(d$region)) for (case in c("quant", "cc")) {
  e <- d[d$region == r, ]
  one <- list(beta = e$b1, varbeta = e$s1^2, MAF = e$maf, N = e$n1, type = "quant", snp = e$snp)
  two <- list(beta = e$b2, varbeta = e$s2^2, MAF = e$maf, N = e$n2, type = case, snp = e$snp, sdY = 1)
  if (case == "quant") two$sdY <- 0.7
  l1 <- suppressWarnings(process.dataset(one, "df1"))
  l2 <- process.dataset(two, "df2")
  for (p12 in c(1e-5, 1e-6)) {
    pp <- combine.abf(l1$lABF.df1, l2$lABF.df2, 1e-4, 1e-4, p12, quiet = TRUE)
    snp <- exp(l1$lABF.df1 + l2$lABF.df2 - logsum(l1$lABF.df1 + l2$lABF.df2))
    rows[[length(rows) + 1]] <- data.frame(region = r, second = case, p12 = p12, t(unname(pp)),
      sd = suppressWarnings(sdY.est(e$s1^2, e$maf, e$n1)), best = e$snp[which.max(snp)], best_pp = max(snp))
  }
}
out <- do.call(rbind, rows)
for (name in setdiff(names(out), c("region", "second", "best"))) out[[name]] <- sprintf("%.15g", out[[name]])
write.csv(out, "expected.csv", row.names = FALSE, quote = FALSE)
