"""Voxel-based features of PyRadiomics 3.0.1 at five voxels, for tests/test_features_pyradiomics.py.

Made once with Python 3.11, pyradiomics 3.0.1, SimpleITK 2.5.7 and numpy 1.26.4:

    python voxels.py > voxels.csv

The mean of "JointAverage" is NaN in PyRadiomics where a direction has no pair in the window (its
other features leave such directions out), and "MCC" stays at the initial value where such a
window occurs anywhere; the test leaves these out.
"""

import sys

import numpy as np

CLASSES = ("firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
CASES = {
    "plain": ({"binWidth": 12}, {}),
    "wide": ({"binCount": 5}, {"kernelRadius": 2, "initValue": -1}),
    "all around": ({"binWidth": 15}, {"maskedKernel": False}),
    "flat": ({"binWidth": 12, "force2D": True}, {}),
}
PLACES = ((2, 3, 4), (1, 0, 10), (5, 5, 7), (8, 9, 11), (3, 8, 1))


def scan():
    """Return an image and a mask (9, 10, 12)."""
    rng = np.random.RandomState(0)
    noise = rng.normal(size=(11, 12, 14))
    smooth = sum(np.roll(noise, k, axis) for axis in range(3) for k in (0, 1))[1:-1, 1:-1, 1:-1]
    mask = rng.uniform(size=smooth.shape) < 0.7
    for place in PLACES:
        mask[place] = True
    return np.rint(smooth * 20).astype(np.int16), mask.astype(np.uint8)


def main():
    import SimpleITK as sitk
    from radiomics import featureextractor, setVerbosity

    setVerbosity(60)
    image, mask = (sitk.GetImageFromArray(item) for item in scan())
    sys.stdout.write("case,feature,a,b,c,d,e\n")
    for name, (setting, voxel) in CASES.items():
        parameters = {
            "setting": {**setting, "additionalInfo": False},
            "voxelSetting": {"kernelRadius": 1, **voxel},
            "featureClass": dict.fromkeys(CLASSES),
        }
        extractor = featureextractor.RadiomicsFeatureExtractor(parameters)
        for feature, found in extractor.execute(image, mask, voxelBased=True).items():
            array = sitk.GetArrayFromImage(found)
            values = ",".join(f"{array[place]:.9g}" for place in PLACES)
            sys.stdout.write(f"{name},{feature},{values}\n")


if __name__ == "__main__":
    main()
