"""Golden values of permutation inference on maps, by nilearn 0.14.1 (Python 3.11, NumPy 2).

Run in an environment of its own: pip install nilearn==0.14.1 && python make_nilearn.py
Writes images.csv (24 people, the 5 x 6 x 4 grid flattened in (z, y, x) order), people.csv,
maps.csv (t and TFCE with steps of 0.005, times the step; -log10 adjusted p of 20,000 permutations)
and clusters.csv (largest cluster over |t| > 2: size and mass).
"""

import nibabel
import numpy as np
from nilearn.maskers import NiftiMasker
from nilearn.mass_univariate import permuted_ols
from nilearn.mass_univariate._utils import calculate_cluster_measures, calculate_tfce
from scipy.ndimage import gaussian_filter, generate_binary_structure

SHAPE = (4, 6, 5)  # z, y, x

rng = np.random.default_rng(20)
x, z = rng.normal(size=(24, 1)), rng.normal(size=(24, 2))
images = np.array([gaussian_filter(rng.normal(size=SHAPE), 0.8) for _ in range(24)]).reshape(24, -1)
bump = gaussian_filter(np.eye(1, 120, 50).reshape(SHAPE), 0.9).ravel()
images += 0.25 * x * bump / bump.max() + 0.2 * z[:, :1]
images, x, z = np.round(images, 4), np.round(x, 4), np.round(z, 4)
np.savetxt("images.csv", images, delimiter=",", fmt="%.4f")
np.savetxt(
    "people.csv", np.hstack([x, z]), delimiter=",", fmt="%.4f", header="x,z0,z1", comments=""
)

mask = nibabel.Nifti1Image(np.ones(SHAPE[::-1], np.int8), np.eye(4))
masker = NiftiMasker(mask, standardize=None).fit()
targets = masker.transform(
    nibabel.Nifti1Image(images.reshape(24, *SHAPE).T.astype(np.float64), np.eye(4))
)
found = permuted_ols(
    x, targets, z, model_intercept=True, n_perm=20_000, two_sided_test=True, random_state=1,
    n_jobs=2, masker=masker, threshold=0.05, output_type="dict",
)  # fmt: skip
volume = {k: masker.inverse_transform(found[k]).get_fdata() for k in ("t", "logp_max_t")}
faces = generate_binary_structure(3, 1)
tfce = calculate_tfce(volume["t"], faces, dh=0.005) * 0.005
size, mass = calculate_cluster_measures(volume["t"], 2.0, faces, two_sided_test=True)
flat = [item[..., 0].T.ravel() for item in (volume["t"], tfce, volume["logp_max_t"])]
np.savetxt(
    "maps.csv",
    np.column_stack(flat),
    delimiter=",",
    fmt="%.6f",
    header="t,tfce,logp_t",
    comments="",
)
np.savetxt(
    "clusters.csv", [[size[0], mass[0]]], delimiter=",", fmt="%.6f", header="size,mass", comments=""
)
