"""Side wing: papers, data sets and guidelines as data files with a typed reader."""
