# Hartung-Knapp tests of 13 trials (dat.bcg log relative risks, metadat), by R metafor 3.8-1.
# Run: Rscript make_metafor.R DATA/dat_bcg_yi_vi.csv
library(metafor)
d <- read.csv(commandArgs(TRUE)[1])
rows <- lapply(c("DL", "REML"), function(m) {
  r <- rma(yi, vi, data = d, method = m, test = "knha")
  data.frame(method = m, b = r$b, se = r$se, t = r$zval, p = r$pval, low = r$ci.lb, high = r$ci.ub)
})
write.csv(do.call(rbind, rows), "metafor_knha.csv", row.names = FALSE, quote = FALSE)
