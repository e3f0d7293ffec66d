"""The label tables of a DeepLabCut project folder, and the images and videos that tables belong to."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ProjectError
from engine.formats.deeplabcut.config import read_config
from engine.media.source import VIDEO_SUFFIXES

LABEL_FOLDER = "labeled-data"


def label_files(folder: Path) -> list[Path]:
    """The label tables of a DeepLabCut or Lightning Pose project, or of the folder of one of its videos.

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
    """The video of a table of an analysed video: the name of the table begins with that of the video. It lies beside
    the table, or, as Lightning Pose has it, in the folder above or in a folder "videos" of either.

    Raises:
        ProjectError: there is none.
    """
    own = file.absolute().parent
    for folder in (own, own / "videos", own.parent, own.parent / "videos"):
        videos = [path for path in _videos_in(folder) if _is_named_after(file, path, anywhere=folder == own)]
        if videos:
            # Of two with the same stem take one by name; a labelled copy made by DeepLabCut has a longer stem.
            return max(videos, key=lambda path: (len(path.stem), path.name))
    raise ProjectError("holds frames of a video, but no video of its name lies beside it", where=file)


def _videos_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    except OSError:
        return []


def _is_named_after(file: Path, video: Path, *, anywhere: bool) -> bool:
    """Whether a table is named after a video; in another folder the rest of its name must be DeepLabCut's."""
    if not file.name.startswith(video.stem):
        return False
    return anywhere or file.stem == video.stem or file.stem[len(video.stem) :].startswith("DLC")


def _tables_by_video(folder: Path) -> list[list[Path]]:
    """Tables of each video; an h5 with a csv of the same name beside it is not listed.

    Lightning Pose keeps one table for all videos, or one for each camera, in the folder above ``labeled-data``.
    """
    folders = sorted(path for path in (folder / LABEL_FOLDER).glob("*/") if path.is_dir())
    groups = [tables for tables in map(_tables_in, folders or [folder]) if tables]
    if groups or not (folder / LABEL_FOLDER).is_dir():
        return groups
    return [[table] for table in _tables_in(folder, "CollectedData*")]


def _tables_in(folder: Path, pattern: str = "CollectedData_*") -> list[Path]:
    tables = sorted(path for path in folder.glob(f"{pattern}.csv") if path.is_file())
    stems = {table.stem for table in tables}
    more = (table for table in sorted(folder.glob(f"{pattern}.h5")) if table.stem not in stems)
    return tables + [table for table in more if table.is_file()]
