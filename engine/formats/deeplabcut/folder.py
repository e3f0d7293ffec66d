"""The label tables of a DeepLabCut project folder, and the images and videos that tables belong to."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ProjectError
from engine.formats.deeplabcut.config import read_config
from engine.media.source import VIDEO_SUFFIXES

LABEL_FOLDER = "labeled-data"


def label_files(folder: Path) -> list[Path]:
    """The label tables of a DeepLabCut project, or of the folder of one of its videos.

    One per video: that of the project's scorer if there are several.
    """
    scorer = read_config(folder / "config.yaml").scorer
    files: list[Path] = []
    for tables in _tables_by_video(folder):
        own = [table for table in tables if table.stem == f"CollectedData_{scorer}"]
        files += own[:1] or tables[:1]
    return files


def files_of_other_scorers(folder: Path) -> list[Path]:
    """Tables of the same videos that :func:`label_files` does not name."""
    own = set(label_files(folder))
    return [table for tables in _tables_by_video(folder) for table in tables if table not in own]


def is_dlc_folder(folder: Path) -> bool:
    """Whether a folder is a DeepLabCut project with labels, or the folder of one of its videos."""
    return bool(label_files(folder))


def root_of(file: Path) -> Path:
    """The folder that the image names in a table start from."""
    parts = file.absolute().parts
    if LABEL_FOLDER in parts:
        depth = len(parts) - 1 - parts[::-1].index(LABEL_FOLDER)
        return Path(*parts[:depth])
    return file.absolute().parent


def video_beside(file: Path) -> Path:
    """The video of a table of an analysed video: the name of the table begins with that of the video.

    Raises:
        ProjectError: there is none.
    """
    videos = [
        path for path in file.absolute().parent.iterdir()
        if path.suffix.lower() in VIDEO_SUFFIXES and file.name.startswith(path.stem) and path.is_file()
    ]  # fmt: skip
    if not videos:
        raise ProjectError("holds frames of a video, but no video of its name lies beside it", where=file)
    # Of two with the same stem take one by name; a labelled copy made by DeepLabCut has a longer stem than the video.
    return max(videos, key=lambda path: (len(path.stem), path.name))


def _tables_by_video(folder: Path) -> list[list[Path]]:
    """Tables of each video; an h5 with a csv of the same name beside it is not listed."""
    groups: list[list[Path]] = []
    for video_folder in sorted(p for p in (folder / LABEL_FOLDER).glob("*/") if p.is_dir()) or [folder]:
        tables = sorted(p for p in video_folder.glob("CollectedData_*.csv") if p.is_file())
        stems = {table.stem for table in tables}
        more = (table for table in sorted(video_folder.glob("CollectedData_*.h5")) if table.stem not in stems)
        groups.append(tables + [table for table in more if table.is_file()])
    return groups
