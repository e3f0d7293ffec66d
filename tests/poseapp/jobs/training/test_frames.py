from __future__ import annotations

import shutil
from pathlib import Path

from engine.media.images import read_image
from engine.train.data.training_set import read_training_set
from engine.utils.context import Context
from poseapp.jobs.training.export import PrepareTrainingJob, RunFiles, TrainingPlan
from poseapp.project import edits
from poseapp.project.formats.videos import import_video
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore
from tests.engine.media.video_clips import X264, Clip, make, number_in
from tests.poseapp.conftest import POSE, SCHEMA


def test_labelled_frames_of_a_video_are_written_for_the_trainer(project: Path, tmp_path: Path) -> None:
    clip = make(Clip("clip.mp4", "libx264", X264, frames=60), tmp_path)
    with ProjectStore.open(project) as store:
        media = import_video(store, clip)
        category = store.categories()[0]
        for index in (41, 7):
            (value,) = store.new_ids(1)
            key = FrameKey(media.id, index)
            store.apply(edits.add_instance(key, edits.make_instance(value, category, POSE / 2, box=[20, 20, 90, 90])))
    plan = TrainingPlan("both", 1, "movenet_lightning", epochs=1, device="cpu")
    files = [step.result for step in PrepareTrainingJob(project, plan).run(Context())][-1]
    try:
        assert isinstance(files, RunFiles)
        data = read_training_set(files.train, files.images, str(files.schema))
        assert data.schema.names == SCHEMA.names
        assert len(data.instances) == 4
        from_video = [image.path for image in data.images if "frames" in image.path.parts]
        assert [number_in(read_image(path)) for path in from_video] == [7, 41]
        assert tmp_path / "a.png" in [image.path for image in data.images]
    finally:
        shutil.rmtree(files.folder, ignore_errors=True)
    clip.unlink()
    files = [step.result for step in PrepareTrainingJob(project, plan).run(Context())][-1]
    assert files.warnings
    assert files.instances == 2
    shutil.rmtree(files.folder, ignore_errors=True)
