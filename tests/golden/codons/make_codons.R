# tRNA adaptation of codons and genes by the package tAI 0.21 (github mariodosreis/tai):
# Rscript make_codons.R TAI.R, where TAI.R is its R/tAI.R; eukaryotes (sking = 0).
source(commandArgs(TRUE)[1])
trna <- read.csv("trna.csv"); genes <- read.csv("genes.csv")
ws <- get.ws(tRNA = trna$copies, sking = 0)
kept <- trna$codon[-c(11, 12, 15, 36)]
write.csv(data.frame(codon = kept, w = sprintf("%.12g", ws)), "tai_weights.csv", row.names = FALSE, quote = FALSE)
count <- t(sapply(genes$sequence, function(s) {
  codons <- substring(s, seq(1, nchar(s), 3), seq(3, nchar(s), 3)); as.vector(table(factor(codons, levels = trna$codon)))
}))
counts <- count[, -c(11, 12, 15)]   # get.tai drops the methionine column itself
tai <- get.tai(counts[, -33], ws)
write.csv(data.frame(gene = genes$gene, tai = sprintf("%.12g", tai)), "tai_genes.csv", row.names = FALSE, quote = FALSE)
