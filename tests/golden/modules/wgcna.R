# Golden values of co-expression networks, made with R 4.2.2, WGCNA 1.72.1, dynamicTreeCut 1.63.1.
# Run: Rscript wgcna.R (writes the CSV files beside this script).
suppressMessages({library(WGCNA); library(dynamicTreeCut)})
options(digits = 17, stringsAsFactors = FALSE)
save <- function(x, name) write.csv(x, paste0(name, ".csv"), row.names = FALSE)

set.seed(31)
n <- 40; p <- 150
truth <- rep(0:4, c(50, 40, 25, 20, 15))
factor <- matrix(rnorm(n * 4), n)
x <- matrix(rnorm(n * p), n)
for (k in 1:4) {
  own <- which(truth == k)
  weight <- runif(length(own), 0.6, 1.6) * sample(c(1, 1, 1, -1), length(own), TRUE)
  x[, own] <- x[, own] + outer(factor[, k], weight)
}
# Modules 1 and 2 fall into halves that hang together more closely.
for (own in list(51:70, 71:90, 91:103, 104:115)) x[, own] <- x[, own] + rnorm(n, 0, 0.9)
x <- round(x, 3)
colnames(x) <- paste0("g", seq_len(p))
save(data.frame(x), "input")

types <- c("signed", "unsigned", "signed hybrid")
rows <- list()
for (type in types) {
  a <- adjacency(x, type = type, power = 4)
  t <- TOMsimilarity(a, TOMType = "unsigned", verbose = 0)
  for (i in c(1, 60)) rows[[length(rows) + 1]] <- data.frame(type, row = i, column = 1:p,
    adjacency = signif(a[i, ], 12), overlap = signif(t[i, ], 12))
}
save(do.call(rbind, rows), "network")
fits <- lapply(types, function(type) data.frame(type, pickSoftThreshold(x, networkType = type,
  powerVector = c(1:10, 12, 14), verbose = 0)$fitIndices))
save(do.call(rbind, fits), "soft_threshold")

cuts <- list()
for (type in types) {
  d <- 1 - TOMsimilarity(adjacency(x, type = type, power = 4), TOMType = "unsigned", verbose = 0)
  tree <- hclust(as.dist(d), "average")
  for (deep in 0:4) for (size in c(8, 15)) {
    label <- cutreeDynamic(tree, distM = d, deepSplit = deep, minClusterSize = size,
      pamStage = FALSE, verbose = 0)
    cuts[[length(cuts) + 1]] <- data.frame(type, deep, size, labels = paste(label, collapse = " "))
  }
}
save(do.call(rbind, cuts), "cuts")

eigen <- moduleEigengenes(x, truth, excludeGrey = TRUE, grey = 0)
save(data.frame(eigen$eigengenes, check.names = FALSE), "eigengenes")
save(data.frame(module = 1:4, explained = as.numeric(eigen$varExplained)), "explained")
merged <- mergeCloseModules(x, c(rep(0, 50), rep(1:2, 20), rep(3, 25), rep(4, 20), rep(5, 15)),
  cutHeight = 0.25, unassdColor = 0, verbose = 0)
save(data.frame(label = merged$colors), "merged")

# Preservation of the planted modules in a second cohort where only two of them are.
y <- matrix(rnorm(36 * p), 36)
g <- matrix(rnorm(36 * 2), 36)
for (k in 1:2) {
  own <- which(truth == k)
  y[, own] <- y[, own] + outer(g[, k], 1.2 * sign(cor(x[, own], factor[, k]))[, 1])
}
y <- round(y, 3); colnames(y) <- colnames(x)
save(data.frame(y), "second")
log <- capture.output(mp <- modulePreservation(list(a = list(data = x), b = list(data = y)), list(a = truth),
  referenceNetworks = 1, nPermutations = 2, networkType = "signed", greyName = 0, goldName = 99,
  verbose = 0, corFnc = "cor", calculateCor.kIMall = FALSE, maxGoldModuleSize = 10))
invisible(file.remove("permutedStats-actualModules.RData"))
o <- mp$preservation$observed[[1]][[2]]
save(data.frame(module = rownames(o), o), "preservation")
