# Golden values of net reclassification by Hmisc (R); writes reclassification.csv and _input.csv.
suppressMessages(library(Hmisc))
set.seed(11)
n <- 120
y <- rbinom(n, 1, 0.4)
old <- round(plogis(-0.4 + 0.9 * y + rnorm(n)), 6)
new <- round(plogis(-0.5 + 1.4 * y + rnorm(n)), 6)
new[1:6] <- old[1:6]
write.csv(data.frame(y, old, new), "reclassification_input.csv", row.names = FALSE)
r <- improveProb(old, new, y)
write.csv(data.frame(
  quantity = c("nri", "nri_error", "nri_events", "nri_nonevents", "idi", "idi_error"),
  value = sprintf("%.15g", c(r$nri, r$se.nri, r$nri.ev, r$nri.ne, r$idi, r$se.idi))
), "reclassification.csv", row.names = FALSE, quote = FALSE)
