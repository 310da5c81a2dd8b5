#!/bin/sh
# Heterozygosity, Hardy-Weinberg mid-p and kinship of chr22_missing by PLINK 2 (on the path).
# Run in this folder: sh quality.sh FOLDER_OF_EUR_SUBSET
set -eu
here=$PWD
work=$(mktemp -d)
cd "$work"
from=$1/ref_plink2/chr22_missing
plink2 --bfile "$from" --het small-sample --out a > /dev/null
plink2 --bfile "$from" --hardy midp --out a > /dev/null
plink2 --bfile "$from" --make-king-table --king-table-filter 0.05 --out a > /dev/null
cut -f 2-6 a.het | tr '\t' ',' > "$here/quality_het.csv"
awk 'NR == 1 || NR % 20 == 0' a.hardy | cut -f 2,5-7,10 | tr '\t' ',' > "$here/quality_hardy.csv"
cut -f 2,4,5,6,8 a.kin0 | tr '\t' ',' > "$here/quality_king.csv"
plink2 --version > "$here/quality_versions.txt"
