"""Images of a COCO file that are frames of a video: ``video`` and ``frame_index``, counted from 0 as they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import PoseError
from engine.formats.coco.dataset import CocoImage
from engine.formats.coco.reader import video_frame_of
from engine.labels.image_size import GridTransform
from engine.media.source import has_frames
from engine.media.video.frame_size import opencv_grid
from poseapp.project.formats.image_files import plain_name
from poseapp.project.formats.report import Problems
from poseapp.project.formats.videos import import_video
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore


def frames_of_videos(
    store: ProjectStore,
    images: Sequence[CocoImage],
    folders: Sequence[Path],
    problems: Problems,
    cache: Path | None = None,
) -> dict[int, FrameKey]:
    """Which images are frames of a video that is there; the video joins the project with all of its frames.

    An image that exists as a file is one, whatever else its record tells. A frame that the video has not, and a video
    that cannot be read, are told, and the image stays an image.

    Args:
        folders: where the names of the file may begin; the first that holds the video is taken.
        cache: folder where indices of videos are kept.

    Returns:
        the frame for each place in ``images`` that is one.
    """
    frames: dict[int, FrameKey] = {}
    media: dict[str, tuple[int, int] | None] = {}
    for position, image in enumerate(images):
        video_frame = video_frame_of(image.raw)
        if video_frame is None or any((folder / plain_name(image.file_name)).is_file() for folder in folders):
            continue
        if video_frame.video not in media:
            media[video_frame.video] = _open(store, video_frame.video, folders, problems, cache)
        opened = media[video_frame.video]
        if opened is None:
            continue
        media_id, count = opened
        if video_frame.frame_index < count:
            frames[position] = FrameKey(media_id, video_frame.frame_index)
        else:
            problems.add(
                f"{video_frame.video} has {count:,} frames, counted from 0; not found",
                f"frame {video_frame.frame_index:,}",
            )
    return frames


def grids_of_videos(
    store: ProjectStore,
    images: Sequence[CocoImage],
    frames: Mapping[int, FrameKey],
    problems: Problems,
    cache: Path | None = None,
    *,
    fit: bool,
) -> dict[FrameKey, GridTransform]:
    """What brings labels into the frames that are shown, where their records have the size of the stored pixels.

    Only for videos of which this is another size: with pixels that are not square.

    Args:
        frames: as :func:`frames_of_videos` gives them.
        fit: False = leave the labels as they are, and say so.
    """
    of_media: dict[int, GridTransform | None] = {}
    paths = {media.id: Path(media.path) for media in store.media()}
    grids: dict[FrameKey, GridTransform] = {}
    for position, key in frames.items():
        if key.media not in of_media:
            of_media[key.media] = opencv_grid(paths[key.media], cache)
        grid = of_media[key.media]
        size = (images[position].width, images[position].height)
        if grid is not None and size == grid.labels != grid.shown:
            grids[key] = grid
            done = "they were fitted to the frame" if fit else "they were left as they are"
            problems.add(f"Labels made on stored pixels, which are not square; {done}", images[position].file_name)
    return grids if fit else {}


def _open(
    store: ProjectStore, name: str, folders: Sequence[Path], problems: Problems, cache: Path | None
) -> tuple[int, int] | None:
    """Number of the media and of its frames; None where the video is missing or cannot be read."""
    plain = plain_name(name)
    candidates = [folder / part for folder in folders for part in dict.fromkeys((plain, plain.rpartition("/")[2]))]
    path = next((candidate for candidate in candidates if candidate.is_file() and has_frames(candidate)), None)
    if path is None:
        problems.add("Video not found, its frames are listed as images that are missing", name)
        return None
    try:
        video = import_video(store, path, cache=cache)
    except PoseError as error:
        problems.add(str(error), name)
        return None
    return video.id, len(store.frame_names(video.id))
