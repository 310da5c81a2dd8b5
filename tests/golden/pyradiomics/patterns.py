"""Local binary patterns of PyRadiomics 3.0.1, for tests/test_features_pyradiomics.py.

Made once with Python 3.11, pyradiomics 3.0.1, numpy 1.26.4, scipy 1.11.4 (later versions lack
the function that its 3D pattern needs), scikit-image 0.22.0, trimesh 5.2.0:

    python patterns.py FOLDER_OF_THE_CASES > patterns.csv
"""

import sys
from pathlib import Path

CASES = {
    "plain": ("brain1", {"LBP2D": {}, "LBP3D": {}}),
    "other": (
        "breast1",
        {
            "LBP2D": {"lbp2DRadius": 2.0, "lbp2DSamples": 11, "lbp2DMethod": "ror"},
            "LBP3D": {"lbp3DLevels": 3, "lbp3DIcosphereRadius": 2, "lbp3DIcosphereSubdivision": 2},
        },
    ),
    "codes": ("breast1", {"LBP2D": {"lbp2DMethod": "default", "force2Ddimension": 2}}),
    "variance": ("breast1", {"LBP2D": {"lbp2DMethod": "var"}}),
}
FEATURES = {"firstorder": ["Mean", "Variance", "Skewness", "Entropy"], "glcm": ["Contrast"]}


def main(folder: Path) -> None:
    from radiomics import featureextractor, setVerbosity

    setVerbosity(60)
    sys.stdout.write("case,feature,value\n")
    for name, (case, types) in CASES.items():
        parameters = {
            "imageType": types,
            "featureClass": FEATURES,
            "setting": {"binWidth": 0.5, "additionalInfo": False, "normalize": name != "plain"},
        }
        extractor = featureextractor.RadiomicsFeatureExtractor(parameters)
        found = extractor.execute(
            str(folder / f"{case}_image.nrrd"), str(folder / f"{case}_label.nrrd")
        )
        for feature, value in found.items():
            sys.stdout.write(f"{name},{feature},{float(value):.12g}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
