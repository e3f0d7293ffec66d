"""What is named twice is the same frame, category or track."""

from engine.labels import VIDEO, Instance, LabelsBuilder


def test_frames_categories_and_tracks_are_known_by_what_identifies_them() -> None:
    builder = LabelsBuilder()
    video = builder.media(VIDEO, "a.mp4")
    assert builder.frame("", video, 7) == builder.frame("", video, 7) != builder.frame("", video, 8)
    assert builder.frame("a.png") == builder.frame("a.png") != builder.frame("b.png")
    assert builder.category("mouse", id=1) == builder.category("mouse", id=1) != builder.category("mouse", id=2)
    assert builder.track("ann", "ann") == builder.track("ann", "ann") != builder.track(("a.mp4", 1))
    builder.add(Instance(0, 0))
    labels = builder.build("x")
    assert [(frame.media, frame.index, frame.name) for frame in labels.frames()] == [
        (0, 7, ""),
        (0, 8, ""),
        (1, 0, "a.png"),
        (1, 1, "b.png"),
    ]
    assert labels.tracks == {0: "ann"}
    assert [category.id for category in labels.categories] == [1, 2]
    assert labels.num_instances() == 1


def test_a_video_without_a_name_is_looked_for_by_that_of_the_label_file() -> None:
    builder = LabelsBuilder()
    builder.frame("", builder.media(VIDEO), 3)
    builder.frame("", builder.media(VIDEO, "b.mp4"), 3)
    assert [media.path for media in builder.build("/labels/clip.nwb").media] == ["clip.mp4", "b.mp4"]
