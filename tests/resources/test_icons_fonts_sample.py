"""The icons are one family and can be drawn, the fonts load, the sample is what SOURCES.md says."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from resources import resource_path

ICONS = sorted(path for path in resource_path("icons").glob("*.svg") if path.stem != "poseapp")
SVG = "{http://www.w3.org/2000/svg}"
USED_BY_THE_WINDOW = """
open-folder open-image open-video open-project save export import undo redo select box place delete zoom-in zoom-out fit
actual-size zoom-instance hide-others labels limbs boxes run run-all stop accept accept-all reject occluded absent
visible swap mirror copy paste duplicate next previous play pause train model evaluate settings theme-dark theme-light
palette history flag filter search person skeleton warning error info check close chevron-down chevron-right
"""


def test_icons_of_all_verbs_are_there() -> None:
    assert set(USED_BY_THE_WINDOW.split()) <= {path.stem for path in ICONS}


@pytest.mark.parametrize("path", ICONS, ids=lambda path: path.stem)
def test_icon_is_of_the_family(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox") == "0 0 24 24"
    assert root.get("stroke") == "currentColor"
    assert root.get("stroke-width") == "1.75"
    assert {"round"} == {root.get("stroke-linecap"), root.get("stroke-linejoin")}
    colors = {e.get(key) for e in root.iter() for key in ("fill", "stroke")} - {None}
    assert colors <= {"none", "currentColor"}


def test_icons_are_drawn_inside_their_grid(qapp: object) -> None:
    from PySide6.QtCore import QByteArray
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    for path in ICONS:
        text = path.read_text(encoding="utf-8").replace("currentColor", "#ffffff")
        image = QImage(96, 96, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(0)
        painter = QPainter(image)
        renderer = QSvgRenderer(QByteArray(text.encode()))
        assert renderer.isValid(), path.stem
        renderer.render(painter)
        painter.end()
        edge = [image.pixelColor(x, y).alpha() for i in range(96) for x, y in ((i, 0), (i, 95), (0, i), (95, i))]
        assert max(edge) == 0, f"{path.stem} touches the edge"
        inked = sum(image.pixelColor(x, y).alpha() > 0 for x in range(0, 96, 2) for y in range(0, 96, 2))
        assert inked > 40, f"{path.stem} is nearly empty"


def test_program_icon_is_rendered(qapp: object) -> None:
    from PySide6.QtGui import QImage

    image = QImage(str(resource_path("icons/poseapp.png")))
    assert (image.width(), image.height()) == (256, 256)
    assert image.pixelColor(0, 0).alpha() == 0
    assert image.pixelColor(128, 50).alpha() == 255


def test_font_has_the_weights_of_the_window(qapp: object) -> None:
    from PySide6.QtGui import QFontDatabase

    for weight in ("Regular", "Medium", "SemiBold"):
        index = QFontDatabase.addApplicationFont(str(resource_path(f"fonts/Inter-{weight}.otf")))
        assert index >= 0
        assert "Inter" in QFontDatabase.applicationFontFamilies(index)
    assert "SIL OPEN FONT LICENSE Version 1.1" in resource_path("fonts/OFL.txt").read_text(encoding="utf-8")


def test_every_sample_has_a_source_and_the_folder_is_small() -> None:
    folder = resource_path("sample")
    messages = set(re.findall(r"^\| (\S+\.\w+) \|", (folder / "SOURCES.md").read_text(encoding="utf-8"), re.MULTILINE))
    present = {path.name for path in folder.iterdir()} - {"SOURCES.md"}
    assert messages == present == {"astronaut.jpg", "camera.png", "grace_hopper.jpg", "walk_and_wave.mp4"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000


def test_sample_video_plays() -> None:
    import av

    with av.open(str(resource_path("sample/walk_and_wave.mp4"))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 30)
        frames = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(stream)]
    assert frames == [(360, 640, 3)] * 90
