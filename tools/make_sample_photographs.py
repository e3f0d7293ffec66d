"""Write resources/sample/{astronaut.jpg,camera.png,grace_hopper.jpg} from the wheels that ship these photographs.

    python tools/make_sample_photographs.py [OUT_FOLDER]

Needs scikit-image and matplotlib. Origin and licence of each are told in resources/sample/SOURCES.md.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import matplotlib
import skimage.data


def main(arguments: list[str]) -> int:
    default = Path(__file__).resolve().parent.parent / "resources" / "sample"
    out = Path(arguments[0]) if arguments else default
    out.mkdir(parents=True, exist_ok=True)
    astronaut = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(out / "astronaut.jpg"), astronaut, [cv2.IMWRITE_JPEG_QUALITY, 94])  # a sixth of the PNG
    shutil.copyfile(Path(skimage.data.__file__).parent / "camera.png", out / "camera.png")
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    shutil.copyfile(hopper, out / "grace_hopper.jpg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
