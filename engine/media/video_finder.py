"""Finding the videos of a label file, whose paths are those of the computer on which the file was written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path


def find_videos(
    names: Iterable[str], file: Path, given: Mapping[str, Path] | None = None
) -> tuple[dict[str, Path], list[str]]:
    """Find videos by their paths in a label file.

    Looks, in this order: where ``given`` says; at the path as written; for the same path, or its last parts, below the
    folder of the label file and the two folders above it, and below ``videos`` in each of them. The path with which
    more folders agree wins. A video that several names could mean by the file name alone is matched to none of them.

    Args:
        names: paths, with ``/`` or ``\\\\``.
        file: the label file.
        given: known locations, by name.

    Returns:
        the video of each name that was found, and the names that are ambiguous.
    """
    unique = list(dict.fromkeys(name for name in names if name))
    videos: dict[str, Path] = {}
    matches: dict[str, tuple[Path, int]] = {}
    for name in unique:
        if given and name in given:
            videos[name] = Path(given[name])
            continue
        match = _match(name, file)
        if match is not None:
            matches[name] = match
    claims: dict[str, list[str]] = {}
    for name, (path, _) in matches.items():
        claims.setdefault(os.path.realpath(path), []).append(name)
    claimed = {os.path.realpath(path) for path in videos.values()}
    file_names = Counter(_parts(n)[-1] for n in {_with_slashes(n): n for n in unique}.values() if _parts(n))
    ambiguous: list[str] = []
    for real_path, claimants in claims.items():
        best_score = max(matches[name][1] for name in claimants)
        best = [name for name in claimants if matches[name][1] == best_score]
        if best_score == 1 and any(len(_parts(name)) > 1 and file_names[_parts(name)[-1]] > 1 for name in best):
            best = []
        if real_path not in claimed and len({_with_slashes(name) for name in best}) == 1:
            videos.update((name, matches[name][0]) for name in best)
        ambiguous += [name for name in claimants if name not in videos]
    return videos, ambiguous


def _match(name: str, file: Path) -> tuple[Path, int] | None:
    """A video file, and how many trailing parts of the name its path shares."""
    path = _with_slashes(name)
    parts = _parts(name)
    if not parts:
        return None
    if os.path.isabs(path) and os.path.isfile(path):
        return Path(path), len(parts) + 1
    folder = file.absolute().parent
    roots = [folder, *list(folder.parents)[:2]]
    for start in range(len(parts)):
        tail = parts[start:]
        for root in roots:
            for candidate in (root.joinpath(*tail), root.joinpath("videos", *tail)):
                if os.path.isfile(candidate):
                    return candidate, _shared_parts(candidate, parts)
    return None


def _shared_parts(path: Path, parts: list[str]) -> int:
    """Number of trailing parts of a path that equal those of a name."""
    count = 0
    for own, other in zip(reversed(path.parts), reversed(parts)):
        if own != other:
            break
        count += 1
    return count


def _parts(name: str) -> list[str]:
    return [part for part in _with_slashes(name).split("/") if part not in ("", ".", "..")]


def _with_slashes(name: str) -> str:
    return name.replace("\\", "/")


def video_of_stem(folder: Path, stem: str, usual_suffix: str = ".mp4") -> str:
    """The name of the video with this stem in a folder; where there is none, the name with the usual suffix."""
    from engine.media.source import VIDEO_SUFFIXES  # loads OpenCV

    names = [f"{stem}{suffix}" for suffix in (usual_suffix, *sorted(VIDEO_SUFFIXES))]
    return next((name for name in names if os.path.isfile(folder / name)), names[0])
