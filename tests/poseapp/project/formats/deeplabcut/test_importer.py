"""DeepLabCut labels: one animal and several, index in one column or three, Windows paths, missing points and images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import ProjectError
from poseapp.project.formats.deeplabcut.importer import import_dlc
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore

SINGLE = """scorer,me,me,me,me
bodyparts,snout,snout,tail,tail
coords,x,y,x,y
labeled-data/v/img2.png,1.5,2.5,3,4
labeled-data\\v\\img10.png,5,6,,
labeled-data/v/none.png,5,6,7,8
labeled-data/v/img3.png,,,NaN,nan
"""

MULTI = """scorer,,,me,me,me,me,me,me
individuals,,,one,one,two,two,single,single
bodyparts,,,snout,snout,snout,snout,corner,corner
coords,,,x,y,x,y,x,y
labeled-data,v,img2.png,1,2,3,4,9,9
labeled-data,v,img3.png,,,5,6,,
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "dlc"
    (folder / "labeled-data" / "v").mkdir(parents=True)
    for name in ("img2", "img3", "img10"):
        cv2.imwrite(str(folder / "labeled-data" / "v" / f"{name}.png"), np.zeros((20, 30, 3), np.uint8))
    return folder


def table(project: Path, text: str, name: str = "CollectedData_me.csv") -> Path:
    path = project / "labeled-data" / "v" / name
    path.write_text(text, encoding="utf-8-sig")
    return path


@pytest.fixture
def empty(tmp_path: Path):
    with ProjectStore.create(tmp_path / "x.pose") as store:
        yield store


def test_one_animal(project: Path, empty: ProjectStore) -> None:
    (project / "config.yaml").write_text("scorer: me\nskeleton:\n- - snout\n  - tail\nskeleton_color: black\n")
    report = import_dlc(empty, table(project, SINGLE))
    assert (report.images, report.annotations) == (3, 2)
    assert report.problems == ["Image not found, its labels are left out: labeled-data/v/none.png"]
    (category,) = empty.categories()
    assert (category.name, category.schema.names) == ("animal", ("snout", "tail"))
    assert category.schema.limb_indices.tolist() == [[0, 1]]
    first_frame = empty.frames()[0]
    assert (first_frame.name, first_frame.width, first_frame.height) == ("labeled-data/v/img2.png", 30, 20)
    (first,), (second,) = empty.instances(FrameKey(1, 0)), empty.instances(FrameKey(1, 1))
    assert first.keypoints.tolist() == [[1.5, 2.5], [3, 4]]
    assert first.by_human.all()
    assert second.visibility.tolist() == [2, 0]
    assert empty.instances(FrameKey(1, 2)) == ()
    assert empty.frame_path(FrameKey(1, 1)).is_file()
    assert empty.new_ids(1)[0] == 3


def test_several_animals_and_a_point_of_its_own(project: Path, empty: ProjectStore) -> None:
    import_dlc(empty, table(project, MULTI))
    assert [(c.name, c.schema.names) for c in empty.categories()] == [("animal", ("snout",)), ("single", ("corner",))]
    assert [i.keypoints.tolist() for i in empty.instances(FrameKey(1, 0))] == [[[1, 2]], [[3, 4]], [[9, 9]]]
    assert [i.keypoints.tolist() for i in empty.instances(FrameKey(1, 1))] == [[[5, 6]]]
    assert [i.track for i in empty.instances(FrameKey(1, 0))] == [1, 2, None]


def test_individuals_are_tracks_where_identity_is_known(project: Path, empty: ProjectStore) -> None:
    (project / "config.yaml").write_text("identity: true\n")
    import_dlc(empty, table(project, MULTI))
    assert [i.track for i in empty.instances(FrameKey(1, 0))] == [1, 2, 3]


def test_a_whole_project_takes_the_labels_of_its_scorer(project: Path, empty: ProjectStore) -> None:
    (project / "config.yaml").write_text("scorer: me # the one\nskeleton: [[snout, tail]]\n")
    table(project, SINGLE)
    table(project, SINGLE.replace("1.5", "99"), "CollectedData_a.csv")
    assert import_dlc(empty, project).annotations == 2
    assert empty.instances(FrameKey(1, 0))[0].keypoints[0].tolist() == [1.5, 2.5]
    assert len(empty.categories()[0].schema.limbs) == 1


def test_a_csv_moved_next_to_its_images(project: Path, empty: ProjectStore, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    (project / "labeled-data" / "v" / "img2.png").rename(flat / "img2.png")
    (flat / "labels.csv").write_text(SINGLE)
    report = import_dlc(empty, flat / "labels.csv")
    assert (report.images, report.annotations) == (1, 1)
    assert empty.frames()[0].name == "img2.png"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "not a DeepLabCut label table"),
        ("", "not a DeepLabCut label table"),
        (SINGLE.replace("coords,x,y,x,y", "coords,x,y,x,likelihood"), "no column for x or y"),
    ],
)
def test_faulty_tables_are_told_and_nothing_is_kept(project: Path, empty: ProjectStore, text: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        import_dlc(empty, table(project, text))
    assert empty.frame_count() == 0
    assert empty.categories() == []


def test_a_folder_without_labels_is_told(empty: ProjectStore, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no labels"):
        import_dlc(empty, tmp_path)


def test_the_real_mouse_project(shared: Path, empty: ProjectStore) -> None:
    report = import_dlc(empty, shared / "data" / "openfield-mouse")
    assert (report.images, report.annotations) == (92, 92)
    assert "img0092.png and 23 more" in report.problems[0]
    assert empty.categories()[0].schema.names == ("snout", "leftear", "rightear", "tailbase")
    first = empty.instances(FrameKey(1, 0))[0]
    assert first.keypoints[0].tolist() == [21.521, 265.428]
    assert (empty.frames()[0].width, empty.frames()[0].height) == (640, 480)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("labeled-data/v/img3.png,9,1,2,3,4", "more cells than the 5 of the header, left out"),
        ("labeled-data/v/img3.png,1,2,3", "fewer cells than the 5 of the header, left out"),
        ("labeled-data/v/img3.png,1,2,abc,4", "a cell that is not a number, left out"),
        (",1,2,3,4", "Row without a name of an image, left out"),
        ("17,1,2,3,4", "a number and no name of an image, left out"),
        ("labeled-data/v/img2.png,9,2,3,4", "the same image with other values, left out"),
        ("labeled-data/v/img2.png,1.5,2.5,3,4", "Repeated row, read once"),
        ("labeled-data/v/img3.png,1,,,", "x or y alone, left out"),
    ],
)
def test_a_row_that_cannot_be_used_is_listed_and_the_others_come_in(
    project: Path, empty: ProjectStore, row: str, words: str
) -> None:
    text = "\n".join([*SINGLE.splitlines()[:4], row, *SINGLE.splitlines()[4:5], ""])
    report = import_dlc(empty, table(project, text))
    assert report.annotations == 2
    positions = sorted(instance.keypoints.tolist() for _, instance in empty.all_instances())
    assert positions == [[[1.5, 2.5], [3, 4]], [[5, 6], [0, 0]]]
    (problem,) = report.problems
    assert words in problem
    assert "alone" in words or "CollectedData_me.csv line 5" in problem


@pytest.mark.parametrize(("cell", "comma"), [(";", ","), ("\t", ","), (";", "."), (",", ".")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_that_went_through_a_spreadsheet(
    project: Path, empty: ProjectStore, cell: str, comma: str, encoding: str, end: str
) -> None:
    lines = ["scorer,mé,mé,mé,mé", *SINGLE.splitlines()[1:4]]
    lines = [cell.join(c.replace(".", comma) if n else f'"{c}"' for n, c in enumerate(x.split(","))) for x in lines]
    path = project / "labeled-data" / "v" / "CollectedData_me.csv"
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    assert import_dlc(empty, path).problems == []
    ((_, pose),) = empty.all_instances()
    assert pose.keypoints.tolist() == [[1.5, 2.5], [3, 4]]


def test_points_in_another_order_and_one_more_are_one_category(project: Path, empty: ProjectStore) -> None:
    other = project / "labeled-data" / "w"
    other.mkdir()
    cv2.imwrite(str(other / "img1.png"), np.zeros((20, 30, 3), np.uint8))
    table(project, SINGLE)
    (other / "CollectedData_me.csv").write_text(
        "scorer,me,me,me,me,me,me\nbodyparts,tail,tail,ear,ear,snout,snout\ncoords,x,y,x,y,x,y\n"
        "labeled-data/w/img1.png,1,2,3,4,5,6\n"
    )
    import_dlc(empty, project)
    (category,) = empty.categories()
    assert category.schema.names == ("snout", "tail", "ear")
    last = [instance for _, instance in empty.all_instances()][-1]
    assert last.keypoints.tolist() == [[5, 6], [1, 2], [3, 4]]


def test_images_of_one_base_name_are_not_taken_for_one_another(project: Path, empty: ProjectStore) -> None:
    text = SINGLE.replace("labeled-data/v/none.png", "labeled-data/w/img2.png")
    report = import_dlc(empty, table(project, text))
    assert report.annotations == 2
    assert report.left_out == 1
    assert any("Image not found" in text for text in report.problems)


def test_the_labels_of_another_scorer_are_told_of(project: Path, empty: ProjectStore) -> None:
    (project / "config.yaml").write_text("scorer: me\n")
    table(project, SINGLE)
    table(project, SINGLE, "CollectedData_you.csv")
    report = import_dlc(empty, project)
    assert report.annotations == 2
    assert any("another scorer" in text and "CollectedData_you.csv" in text for text in report.problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SINGLE.replace("bodyparts,snout,snout,tail,tail", "bodyparts,snout,snout,tail"), "different numbers of cells"),
        (SINGLE.replace("bodyparts,snout,snout,tail,tail", "bodyparts,snout,snout,snout,snout"), "two columns"),
        (SINGLE.replace("scorer,me,me,me,me", "scorer,me,me,you,you"), "several scorers"),
    ],
)
def test_headers_that_cannot_be_trusted_are_refused(project: Path, empty: ProjectStore, text: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        import_dlc(empty, table(project, text))
    assert empty.frame_count() == 0
