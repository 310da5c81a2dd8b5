"""Every voxel or vertex a phenotype; maps of lesions."""
