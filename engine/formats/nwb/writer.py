"""Labels as an NWB file with ndx-pose: training frames for labels, a PoseEstimation for predictions of each animal."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import numpy as np

from engine.errors import LabelError
from engine.formats.named_poses import named_categories
from engine.formats.nwb.samples import FreeNames, Part, Samples, as_text, object_name
from engine.formats.nwb.training import TrainingPose, TrainingPoses, add_training_frames
from engine.formats.registry import WriteOptions
from engine.formats.sleap.pixels import StoredPixels
from engine.labels.model import ABSENT, OCCLUDED, UNKNOWN, Category, Floats, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import kept_mode, replacing

_STEP = 500
_MODULE, _TRAINING, _VIDEOS = "behavior", "PoseTraining", "source_videos"
_MAX_GAPS = 20
"""Samples for each that is not empty, before times are written instead."""
_IN_ESTIMATIONS = (
    "description", "original_videos", "labeled_videos", "dimensions", "scorer", "source_software", "nodes", "edges",
    "device", "source_video", "labeled_video", "skeleton",
)  # fmt: skip
"""Names in a PoseEstimation that no keypoint can have."""


def write_nwb(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a file.

    Raises:
        LabelError: pynwb or ndx-pose is not installed, there are no poses, or the file cannot be written.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    try:
        import ndx_pose
        import pynwb
    except ImportError:
        raise LabelError(
            "writing NWB needs pynwb and ndx-pose; install them with: pip install 'poseapp[nwb]'"
        ) from None
    writer = _Writer(labels, path, options, context, ndx_pose, pynwb)
    nwb_file = writer.build()
    try:
        with replacing(path, mode=kept_mode(path), suffix=".nwb") as temporary:
            with warnings.catch_warnings(), pynwb.NWBHDF5IO(str(temporary), "w") as io:
                warnings.simplefilter("ignore")  # about what is customary in NWB, for people who write Python
                io.write(nwb_file)
            if writer.has_labels:
                add_training_frames(temporary, f"/processing/{_MODULE}/{_TRAINING}", writer.training_frames())
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None


class _Writer:
    """Attributes: has_labels: there are labels, and not predictions only."""

    def __init__(
        self, labels: LabelReader, path: Path, options: WriteOptions, context: Context, ndx_pose: Any, pynwb: Any
    ) -> None:
        self._labels, self._path, self._options, self._context = labels, path, options, context
        self._ndx_pose, self._pynwb = ndx_pose, pynwb
        self._frames = list(labels.frames())
        self._categories = named_categories(labels, context)
        self._pixels = StoredPixels(labels, context)
        self._samples = Samples(labels, path, options, context)
        self._of_frame: defaultdict[int, list[Instance]] = defaultdict(list)
        self._of_animal: defaultdict[tuple[Part, int, int], list[Instance]] = defaultdict(list)

    @property
    def has_labels(self) -> bool:
        return bool(self._of_frame)

    def build(self) -> Any:
        """The file as pynwb's objects, without what :meth:`training_frames` gives."""
        self._sort()
        if not self._of_frame and not self._of_animal:
            raise LabelError("there are no poses to write", where=self._path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = self._pynwb.NWBFile(
                session_description="poses",
                identifier=str(uuid4()),
                session_start_time=datetime.now(UTC),  # of the recording it is not known
            )
            for category in self._categories:
                if category.schema is None:
                    what = "Category without keypoints, which this format does not have"
                    self._context.report(category.name, what, "left out")
            names = FreeNames()
            self._skeletons = {
                position: self._skeleton(category, names)
                for position, category in enumerate(self._categories)
                if category.schema is not None
            }
            self._labelled_parts = {self._samples.of(n)[0] for n in self._of_frame}
            parts = self._labelled_parts | {part for part, _, _ in self._of_animal}
            names = FreeNames()
            self._videos = {part: self._video(part, names) for part in sorted(parts)}
            for part in parts - self._labelled_parts:
                file.add_acquisition(self._videos[part])
            module = file.create_processing_module(name=_MODULE, description="poses")
            module.add(self._ndx_pose.Skeletons(skeletons=list(self._skeletons.values())))
            if self._of_frame:
                videos = [self._videos[part] for part in sorted(self._labelled_parts)]
                source_videos = self._ndx_pose.SourceVideos(name=_VIDEOS, image_series=videos)
                module.add(self._ndx_pose.PoseTraining(name=_TRAINING, source_videos=source_videos))
            self._add_estimations(file, module)
        return file

    def _add_estimations(self, file: Any, first_module: Any) -> None:
        """Add the predictions; each further video has a module of its own, so that tracks keep their names."""
        modules: dict[Part, tuple[Any, FreeNames]] = {}
        for (part, category, track), instances in self._of_animal.items():
            if part not in modules:
                module = first_module
                if modules:
                    name = f"{_MODULE}_{len(modules) + 1}"
                    module = file.create_processing_module(name=name, description="poses of another video")
                modules[part] = module, FreeNames(("Skeletons", _TRAINING))
            module, names = modules[part]
            module.add(self._estimation(part, category, track, instances, names))

    def _sort(self) -> None:
        """Sort labels by frame, and predictions by video, category and animal."""
        total = self._labels.num_instances()
        tracked: set[tuple[int, int, int]] = set()
        untracked: defaultdict[tuple[int, int], int] = defaultdict(int)
        for position, instance in enumerate(self._labels.instances()):
            if position % _STEP == 0:
                self._context.progress(position, total)
            where = instance.key or f"instance {position + 1}"
            if not instance.is_pose or self._frames[instance.frame].media == UNKNOWN:
                what = "Crowd, or record without keypoints, which this format does not have"
                self._context.report(where, what, "left out")
                continue
            schema = self._categories[instance.category].schema
            assert instance.visibility is not None
            if schema is None or len(instance.visibility) != schema.num_keypoints:
                what = "Pose whose keypoints are not those of its category"
                self._context.report(where, what, "left out", severity=ERROR)
            elif not instance.is_prediction:
                if instance.score is not None or instance.scores is not None:
                    self._context.report(where, "Score of a label, which this format does not have", "left out")
                self._of_frame[instance.frame].append(instance)
            elif self._options.include_predictions:
                self._report_prediction(instance, where)
                if not (instance.visibility != ABSENT).any():
                    self._context.report(where, "Prediction without a keypoint, which this format does not have",
                                         "left out")  # fmt: skip
                    continue
                track = instance.track
                if track is not None and (instance.frame, instance.category, track) in tracked:
                    what = "Second prediction of a track in one frame"
                    self._context.report(where, what, "written as an animal of its own")
                    track = None
                if track is None:  # each prediction of a frame is an animal of its own
                    track = -1 - untracked[instance.frame, instance.category]
                    untracked[instance.frame, instance.category] += 1
                tracked.add((instance.frame, instance.category, track))
                part, _ = self._samples.of(instance.frame)
                self._of_animal[part, instance.category, track].append(instance)

    def _report_prediction(self, instance: Instance, where: str) -> None:
        assert instance.visibility is not None
        if OCCLUDED in instance.visibility:
            what = "Prediction with occluded keypoints, which this format has in labels only"
            self._context.report(where, what, "written as visible")
        if instance.score is not None:
            what = "Score of a whole prediction, which this format does not have"
            self._context.report(where, what, "left out", severity=INFO)

    def _skeleton(self, category: Category, names: FreeNames) -> Any:
        schema = category.schema
        assert schema is not None
        edges = np.asarray(schema.limb_indices, np.uint16).reshape(-1, 2)
        return self._ndx_pose.Skeleton(
            name=names.free(category.name or "skeleton"),
            nodes=[as_text(name) for name in schema.names],
            edges=edges if len(edges) else None,
        )

    def _video(self, part: Part, names: FreeNames) -> Any:
        """The images or the video of a media, by reference."""
        media = self._labels.media[part[0]]
        files = self._samples.files(part)
        sizes = {(frame.width, frame.height) for frame in self._frames if frame.media == part[0]}
        width, height = sizes.pop() if len(sizes) == 1 else (0, 0)
        return self._pynwb.image.ImageSeries(
            description=f"{media.type}: {as_text(media.path)}",
            name=names.free(PurePosixPath(media.path.replace("\\", "/")).stem or media.type),
            external_file=files,
            starting_frame=list(range(len(files))),
            format="external",
            **self._samples.clock_of_video(part),
            dimension=[width, height] if width and height else None,
            unit="n.a.",
        )

    def training_frames(self) -> Iterator[TrainingPoses]:
        """The labels, frame by frame."""
        for count, (position, instances) in enumerate(sorted(self._of_frame.items())):
            if count % _STEP == 0:
                self._context.progress(count, len(self._of_frame), "Writing")
            part, index = self._samples.of(position)
            video = f"/processing/{_MODULE}/{_TRAINING}/{_VIDEOS}/{self._videos[part].name}"
            yield TrainingPoses(f"frame_{position:06}", video, index, self._training_poses(instances, part[0]))

    def _training_poses(self, instances: Sequence[Instance], media: int) -> list[TrainingPose]:
        names: set[str] = set()
        poses: list[TrainingPose] = []
        for n, instance in enumerate(instances):
            assert instance.keypoints is not None
            assert instance.visibility is not None
            name = "" if instance.track is None else self._track_name(instance.track)
            if not name or name in names:
                name = f"instance_{n}"
            names.add(name)
            is_present = instance.visibility != ABSENT
            points = np.where(is_present[:, None], self._pixels.of(instance.keypoints, media), np.nan)
            is_visible = is_present & (instance.visibility != OCCLUDED)
            skeleton = f"/processing/{_MODULE}/Skeletons/{self._skeletons[instance.category].name}"
            poses.append(TrainingPose(name, points, is_visible, skeleton))
        return poses

    def _estimation(
        self, part: Part, category: int, track: int, instances: Sequence[Instance], names: FreeNames
    ) -> Any:
        """The predictions of one animal: samples from its first frame to its last, NaN where it is missing; samples
        with times of their own where it is missing most of the time."""
        from hdmf.backends.hdf5.h5_utils import H5DataIO

        schema, skeleton = self._categories[category].schema, self._skeletons[category]
        assert schema is not None
        indices = np.array([self._samples.of(instance.frame)[1] for instance in instances], np.int64)
        samples = np.unique(indices)
        if samples[-1] - samples[0] < _MAX_GAPS * len(samples):
            samples = np.arange(samples[0], samples[-1] + 1)
        points: Floats = np.full((len(samples), schema.num_keypoints, 2), np.nan)
        scores: Floats = np.full((len(samples), schema.num_keypoints), np.nan)
        for row, instance in zip(np.searchsorted(samples, indices).tolist(), instances, strict=True):
            assert instance.keypoints is not None
            assert instance.visibility is not None
            is_present = instance.visibility != ABSENT
            points[row] = np.where(is_present[:, None], self._pixels.of(instance.keypoints, part[0]), np.nan)
            scores[row] = math.nan if instance.scores is None else instance.scores
        clock = self._samples.clock(part, samples)
        series_names = FreeNames((*_IN_ESTIMATIONS, skeleton.name), prefix="point_")
        series = [
            self._ndx_pose.PoseEstimationSeries(
                name=series_names.free(name),
                description=f"Predicted positions of {as_text(name)}",
                data=H5DataIO(points[:, n], compression="gzip"),
                confidence=H5DataIO(scores[:, n], compression="gzip"),
                unit="pixels",
                reference_frame="(0, 0) is the center of the top left pixel",
                **clock,
            )
            for n, name in enumerate(schema.names)
        ]
        source = next((instance.source for instance in instances if instance.source), "")
        return self._ndx_pose.PoseEstimation(
            name=names.free(self._track_name(track) if track >= 0 else f"PoseEstimation{-track}"),
            description=f"Predictions of a {as_text(self._categories[category].name)}",
            pose_estimation_series=series,
            scorer=as_text(source) or None,
            source_software="poseapp",
            skeleton=skeleton,
            source_video=self._videos[part],
        )

    def _track_name(self, track: int) -> str:
        return object_name(self._labels.tracks.get(track) or f"track_{track}")
