"""Every verb of the window in one table, of which menus, tool bar, palette and key help are made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """One verb.

    Attributes:
        id: names it in settings and tests; also the name of its function in :mod:`poseapp.commands`.
        text: as it stands in menu and palette; ``...`` when a dialog follows.
        menu: the menu it stands in; "" for none (palette and key only).
        keys: shortcuts, portable text of QKeySequence; the first is shown.
        icon: file of the icon family.
        tip: what it does, in a sentence.
        needs: what must be there, one of NEEDS; "" for nothing.
        check: name of the switch it shows, for verbs that toggle.
        group: verbs of one menu with another group are set apart by a line.
        toolbar: group in the tool bar, counted from 1 at the top; 0 for those that do not stand there.
        under: the menu below its menu that it stands in; "" for none.
    """

    id: str
    text: str
    menu: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    tip: str = ""
    needs: str = ""
    check: str = ""
    group: int = 0
    toolbar: int = 0
    under: str = ""

    @property
    def name(self) -> str:
        """The text without the dots that announce a dialog."""
        return self.text.removesuffix("...")


NEEDS = ("project", "frame", "selection", "points", "predictions", "undo", "redo")
FILE, EDIT, POSE, TRACK, VIEW, GO, MODELS, HELP = "File", "Edit", "Pose", "Track", "View", "Go", "Models", "Help"
MENUS = (FILE, EDIT, POSE, TRACK, VIEW, GO, MODELS, HELP)

# A table reads better in its own columns than in those of the formatter.
# fmt: off
ACTIONS: tuple[Action, ...] = (
    Action("open_folder", "Open folder...", FILE, ("Ctrl+O",), "open-folder", "Label the pictures of a folder"),
    Action("open_images", "Open images...", FILE, ("Ctrl+Shift+O",), "open-image", "Label chosen pictures"),
    Action("open_video", "Open video...", FILE, ("Ctrl+Alt+O",), "open-video", "Label the frames of a video"),
    Action("open_coco", "Open COCO file...", FILE, (), "import", "Correct the keypoints of a COCO annotation file"),
    Action("open_labels", "Open SLEAP or DeepLabCut labels...", FILE, (), "labels",
           "Read a .slp file, or the CollectedData table of a DeepLabCut project, with its video or pictures"),
    Action("open_project", "Open project...", FILE, (), "open-project", "Go on with a .pose file"),
    Action("find_video", "Find video...", FILE, (), "open-project",
           "Tell where the video of this frame lies now; it is compared with the one that was labelled", "frame"),
    Action("open_sample", "Open sample", FILE, (), "person", "Three photographs to try everything on"),
    Action("export_coco", "Export COCO...", FILE, ("Ctrl+E",), "export", "Write the labels as a COCO keypoint file",
           "project", group=1, toolbar=6),
    Action("export_tracks", "Export table...", FILE, (), "export",
           "All poses with their tracks and times: CSV, Parquet, or as DeepLabCut writes it", "frame", group=1),
    Action("export_frames", "Export labelled frames...", FILE, (), "export",
           "The labelled frames as pictures, with a COCO file: for training elsewhere", "project", group=1),
    Action("export_video", "Export labelled video...", FILE, (), "export", "An mp4 with the poses drawn", "frame",
           group=1),
    Action("save_copy", "Save a copy...", FILE, (), "export",
           "The whole project under another name, to keep or to hand on", "project", group=1),
    Action("snapshots", "Snapshots...", FILE, (), "history", "Named states of the project, to come back to", "project",
           group=1),
    Action("close_project", "Close project", FILE, ("Ctrl+W",), "close", "Back to the first page", "project", group=2),
    Action("quit", "Quit", FILE, ("Ctrl+Q",), "", "Everything is saved already", group=2),

    Action("undo", "Undo", EDIT, ("Ctrl+Z",), "undo", "Take the last step back, also after a restart", "undo",
           toolbar=2),
    Action("redo", "Redo", EDIT, ("Ctrl+Shift+Z", "Ctrl+Y"), "redo", "Do the step again", "redo", toolbar=2),
    Action("copy", "Copy pose", EDIT, ("Ctrl+C",), "copy", "Copy the selected poses", "selection", group=1),
    Action("paste", "Paste pose", EDIT, ("Ctrl+V",), "paste", "Put the copied poses into this frame", "frame", group=1),
    Action("duplicate", "Duplicate pose", EDIT, ("Ctrl+D",), "duplicate", "A second pose beside the selected one",
           "selection", group=1),
    Action("copy_previous", "Poses from previous frame", EDIT, ("Ctrl+Shift+V",), "previous",
           "Copy all poses of the frame before", "frame", group=1),
    Action("delete", "Delete", EDIT, ("Delete",), "delete",
           "Delete the selected points (they become absent), or the selected poses", "selection", group=2),
    Action("select_all", "Select all poses", EDIT, ("Ctrl+A",), "select", "Select every pose of the frame", "frame",
           group=2),

    Action("settings", "Settings...", EDIT, ("Ctrl+,",), "settings", "Keys, look, and where things lie", group=3),

    Action("tool_edit", "Edit", POSE, ("V",), "select", "Select and drag points; drag empty ground to pan", "frame",
           "tool:edit", toolbar=1),
    Action("tool_box", "New pose by box", POSE, ("N", "R"), "box", "Draw a box; the model fills in the pose", "frame",
           "tool:box", toolbar=1),
    Action("tool_place", "Place points", POSE, ("P",), "place",
           "Click the points in order; Tab skips, right button is occluded", "frame", "tool:place", toolbar=1),
    Action("place_missing", "Place missing points", POSE, ("Shift+P",), "place",
           "Click the points that the selected pose has not, in order; Tab skips, Enter ends", "selection"),
    Action("choose_kind", "Kind of new poses...", POSE, (), "skeleton",
           "Which points a new pose has: person, hand, face, animal or your own", "project"),
    Action("edit_points", "Edit points of a kind...", POSE, (), "skeleton",
           "Names, order, partners, limbs, parts and colours of the points", "project"),
    Action("change_points", "Change points of poses...", POSE, (), "skeleton",
           "All poses of a kind to another set of points, such as 17 to 133", "project"),
    Action("accept", "Accept prediction", POSE, ("Return", "Enter"), "accept", "The selected predictions become labels",
           "predictions", group=1, toolbar=4),
    Action("accept_all", "Accept all in frame", POSE, ("Shift+Return", "Shift+Enter"), "accept-all",
           "All predictions of this frame become labels", "predictions", group=1),
    Action("accept_everywhere", "Accept all in project", POSE, (), "accept-all",
           "All predictions of the project become labels, as one step", "project", group=1),
    Action("reject", "Reject prediction", POSE, ("Backspace",), "reject", "The selected predictions go away",
           "predictions", group=1, toolbar=4),
    Action("assist", "Assist", POSE, ("Shift+A",), "run",
           "After you drag a joint the model shows where the others would be: Enter takes it, Esc drops it",
           check="assist", group=1),
    Action("visible", "Visible", POSE, ("Shift+Q",), "visible", "The hovered or selected points are seen", "frame",
           group=2),
    Action("occluded", "Occluded", POSE, ("Q",), "occluded", "The hovered or selected points are hidden but known",
           "frame", group=2),
    Action("absent", "Absent", POSE, ("O",), "absent", "The hovered or selected points are not in the picture", "frame",
           group=2),
    Action("swap", "Swap left and right", POSE, ("X",), "swap", "Exchange left and right of the selection", "selection",
           group=3),
    Action("mirror", "Mirror pose", POSE, ("Shift+X",), "mirror", "Mirror the selected pose about its middle",
           "selection", group=3),

    Action("change_category", "Change kind...", POSE, (), "skeleton",
           "The selected poses are of another kind; points of the same name stay", "selection", group=4),
    Action("merge_poses", "Merge poses", POSE, ("M",), "", "The selected poses are one", "selection", group=4),
    Action("split_pose", "Split off points", POSE, ("Shift+M",), "", "The selected points are a pose of their own",
           "points", group=4),
    Action("delete_below", "Delete below a score...", POSE, (), "delete",
           "Predictions of the whole project that the model was less sure of, as one step", "project", group=4),
    Action("nothing_here", "Nothing here", POSE, ("Ctrl+Shift+N",), "absent",
           "This frame holds nothing to label: it counts as done, and as an example of that", "frame", "negative",
           group=4),

    Action("track_poses", "Track poses", TRACK, (), "person",
           "Find who is who in all frames of this video or folder, as one step", "frame"),
    Action("assign_track", "Assign track...", TRACK, ("T",), "person", "Say who the selected pose is", "selection"),
    Action("swap_tracks", "Swap tracks from here on...", TRACK, ("Ctrl+T",), "swap",
           "Two identities that were mixed up from this frame on", "selection", group=1),
    Action("swap_along", "Swap left and right along the track...", TRACK, ("Ctrl+Shift+X",), "swap",
           "A model took one side for the other for a while: the selected points, or the whole pose", "selection",
           group=1),
    Action("join_tracks", "Join with track...", TRACK, (), "", "Another track is this one too", "selection", group=1),
    Action("split_track", "Split track here", TRACK, (), "", "From this frame on it is somebody else", "selection",
           group=1),
    Action("delete_track", "Delete track...", TRACK, (), "delete", "All of its poses, or those from here on",
           "selection", group=1),
    Action("keyframe", "Make it a keyframe", TRACK, ("I",), "accept",
           "The selected poses are right as they are: interpolation goes through them", "selection", group=2),
    Action("interpolate_track", "Interpolate", TRACK, ("Shift+I",), "",
           "Fill the track between the poses that a person has made, along straight lines", "selection", group=2),
    Action("interpolate_smooth", "Interpolate smoothly", TRACK, (), "",
           "Fill the track between the poses that a person has made, along curves", "selection", group=2),
    Action("propagate_pose", "Carry pose on", TRACK, ("Ctrl+P",), "next",
           "Follow the picture through the next 30 frames", "selection", group=2),
    Action("choose_frames", "Choose frames to label...", TRACK, (), "flag",
           "Flags frames that are worth labelling: different, spread out, or uncertain", "frame", group=3),

    Action("nudge_left", "Nudge left, or previous frame", "", ("Left",), "",
           "Move the selected points 1 px; without any, the frame before", "frame"),
    Action("nudge_right", "Nudge right, or next frame", "", ("Right",), "",
           "Move the selected points 1 px; without any, the next frame", "frame"),
    Action("nudge_up", "Nudge up", "", ("Up",), "", "Move the selection 1 px", "selection"),
    Action("nudge_down", "Nudge down", "", ("Down",), "", "Move the selection 1 px", "selection"),
    Action("nudge_left_far", "Nudge left 10 px", "", ("Shift+Left",), "", "Move the selection 10 px", "selection"),
    Action("nudge_right_far", "Nudge right 10 px", "", ("Shift+Right",), "", "Move the selection 10 px", "selection"),
    Action("nudge_up_far", "Nudge up 10 px", "", ("Shift+Up",), "", "Move the selection 10 px", "selection"),
    Action("nudge_down_far", "Nudge down 10 px", "", ("Shift+Down",), "", "Move the selection 10 px", "selection"),

    Action("zoom_in", "Zoom in", VIEW, ("Ctrl++", "Ctrl+="), "zoom-in", "Larger (or the wheel, about the cursor)",
           "frame"),
    Action("zoom_out", "Zoom out", VIEW, ("Ctrl+-",), "zoom-out", "Smaller", "frame"),
    Action("fit", "Fit picture", VIEW, ("F", "Ctrl+0"), "fit", "The whole picture", "frame", toolbar=5),
    Action("actual_size", "Actual size", VIEW, ("Ctrl+1",), "actual-size", "One picture pixel on one screen pixel",
           "frame"),
    Action("zoom_pose", "Zoom to pose", VIEW, ("Shift+F",), "zoom-instance", "Fill the view with the selected pose",
           "frame"),
    Action("hide_others", "Hide other poses", VIEW, ("H",), "hide-others", "Show only the selected poses",
           check="hide_others", group=1),
    Action("show_labels", "Point names", VIEW, ("L",), "labels", "Names of hovered and selected points",
           check="show_labels", group=1),
    Action("show_bones", "Limbs", VIEW, ("B",), "bones", "Lines between the points", check="show_bones", group=1),
    Action("show_boxes", "Boxes", VIEW, ("G",), "boxes", "The box of every pose", check="show_boxes", group=1),
    Action("show_missing", "Missing points as ghosts", VIEW, ("Shift+G",), "place",
           "What a selected prediction has not is shown faintly: drag it to where it belongs (right button: occluded)",
           check="show_missing", group=1),
    Action("show_minimap", "Overview", VIEW, tip="The whole picture, small, while one is close to a part of it",
           check="show_minimap", group=1),
    Action("hide_poses", "Hide poses", VIEW, ("Shift+H",), "hide", "The selected poses are not drawn", "selection",
           group=1),
    Action("lock_poses", "Lock poses", VIEW, ("Shift+L",), "lock", "The selected poses are drawn but not touched",
           "selection", group=1),
    Action("hide_points", "Hide points", VIEW, ("Ctrl+H",), "", "The selected points are not drawn", "points", group=1),
    Action("lock_points", "Lock or unlock points", VIEW, ("Ctrl+L",), "lock",
           "The selected points are drawn, but no edit touches them until they are unlocked", "points", group=1),
    Action("show_all_poses", "Show and unlock all", VIEW, ("Ctrl+Shift+H",), "show", "Nothing is hidden or locked",
           "project", group=1),
    Action("next_part", "Focus next part", VIEW, ("Shift+B",), "",
           "Draw one part of the points alone, one after the other: body, feet, face, hands, then all", "frame",
           group=1),
    Action("color_side", "Colour by side", VIEW, tip="Left, right and middle", check="color:side", group=2,
           under="Colour"),
    Action("color_limb", "Colour by limb", VIEW, tip="The colours of the schema", check="color:limb", group=2,
           under="Colour"),
    Action("color_instance", "Colour by pose", VIEW, tip="One colour for each pose", check="color:instance", group=2,
           under="Colour"),
    Action("color_score", "Colour by score", VIEW, tip="How sure the model is", check="color:score", group=2,
           under="Colour"),
    Action("color_part", "Colour by part", VIEW, tip="Body, face, hands; colours of your own in the list of poses",
           check="color:part", group=2, under="Colour"),
    Action("color_source", "Colour by source", VIEW, tip="Who made it, a person or a model", check="color:source",
           group=2, under="Colour"),
    Action("theme_system", "Theme of the system", VIEW, tip="Dark or light as the desktop is", check="theme:system",
           group=2, under="Theme"),
    Action("theme_dark", "Dark theme", VIEW, icon="theme-dark", tip="Light words on dark ground", check="theme:dark",
           group=2, under="Theme"),
    Action("theme_light", "Light theme", VIEW, icon="theme-light", tip="Dark words on light ground",
           check="theme:light", group=2, under="Theme"),

    Action("next_frame", "Next frame", GO, ("D", "."), "next", "The next picture", "frame"),
    Action("previous_frame", "Previous frame", GO, ("A", ","), "previous", "The picture before", "frame"),
    Action("next_ten", "Ten frames on", GO, ("Ctrl+Right",), "", "Ten pictures further", "frame"),
    Action("previous_ten", "Ten frames back", GO, ("Ctrl+Left",), "", "Ten pictures back", "frame"),
    Action("first_frame", "First frame", GO, ("Home",), "first", "The first picture", "frame"),
    Action("last_frame", "Last frame", GO, ("End",), "last", "The last picture", "frame"),
    Action("go_to_frame", "Go to frame...", GO, ("Ctrl+G",), "next", "By its number", "frame"),
    Action("play", "Play or pause", GO, ("K",), "play", "Show one frame after the other", "frame", "playing", group=1),
    Action("mark_in", "Range begins here", GO, ("Shift+Home", "["), "",
           "First frame of the range that is played and run on", "frame", group=1),
    Action("mark_out", "Range ends here", GO, ("Shift+End", "]"), "",
           "Last frame of the range that is played and run on", "frame", group=1),
    Action("clear_range", "Forget range", GO, (), "", "Play and run on everything again", "frame", group=1),
    Action("next_labelled", "Next labelled", GO, ("Alt+Right",), "", "The next frame with labels", "frame", group=2,
           under="Jump"),
    Action("previous_labelled", "Previous labelled", GO, ("Alt+Left",), "", "The frame with labels before", "frame",
           group=2, under="Jump"),
    Action("next_predicted", "Next predicted", GO, ("Alt+Shift+Right",), "", "The next frame with predictions", "frame",
           group=2, under="Jump"),
    Action("previous_predicted", "Previous predicted", GO, ("Alt+Shift+Left",), "",
           "The frame with predictions before", "frame", group=2, under="Jump"),
    Action("next_flagged", "Next flagged", GO, ("Ctrl+Shift+Right",), "", "The next frame that is flagged", "frame",
           group=2, under="Jump"),
    Action("previous_flagged", "Previous flagged", GO, ("Ctrl+Shift+Left",), "", "The flagged frame before", "frame",
           group=2, under="Jump"),
    Action("next_keyframe", "Next keyframe", GO, ("Alt+Down",), "",
           "The next frame where a person has set the track of the selected pose, or any track", "frame", group=2,
           under="Jump"),
    Action("previous_keyframe", "Previous keyframe", GO, ("Alt+Up",), "",
           "The frame before where a person has set the track of the selected pose, or any track", "frame", group=2,
           under="Jump"),
    Action("next_unlabelled", "Next unlabelled", GO, ("U",), "", "The next frame that nobody has labelled", "frame",
           group=2, under="Jump"),
    Action("previous_unlabelled", "Previous unlabelled", GO, ("Shift+U",), "",
           "The frame before that nobody has labelled", "frame", group=2, under="Jump"),
    Action("between_keyframes", "Middle between keyframes", GO, ("Shift+K",), "",
           "Half way from the keyframe before to the next one: where interpolation is least sure", "frame", group=2,
           under="Jump"),
    Action("track_start", "Start of the track", GO, ("Alt+Home",), "", "The first frame of the selected pose's track",
           "selection", group=2, under="Jump"),
    Action("track_end", "End of the track", GO, ("Alt+End",), "", "The last frame of the selected pose's track",
           "selection", group=2, under="Jump"),
    Action("next_review", "Next to review", GO, ("Space",), "next",
           "The next frame with predictions, least certain first", "project", group=3),
    Action("previous_review", "Previous to review", GO, ("Shift+Space",), "previous",
           "The frame before in the review queue", "project", group=3),
    Action("next_pose", "Next pose", GO, ("Tab",), "", "Select the next pose of the frame", "frame", group=4),
    Action("previous_pose", "Previous pose", GO, ("Shift+Tab", "Backtab"), "", "Select the pose before", "frame",
           group=4),
    Action("next_point", "Next point", GO, ("Ctrl+Down",), "", "Select the next point of the pose", "frame", group=4),
    Action("previous_point", "Previous point", GO, ("Ctrl+Up",), "", "Select the point before", "frame", group=4),
    *(Action(f"select_{n}", f"Select pose {n}", "", (str(n),), "", f"Pose {n} of the frame", "frame")
      for n in range(1, 10)),
    Action("flag", "Flag frame", GO, ("Ctrl+F",), "flag", "Mark this frame to come back to", "frame", "flagged",
           group=5),
    Action("reviewed", "Frame is done", GO, ("Ctrl+Return",), "check", "Mark this frame as reviewed", "frame",
           "reviewed", group=5),

    Action("run_frame", "Run on this frame", MODELS, ("Ctrl+R",), "run", "Let the model find the poses of this frame",
           "frame", toolbar=3),
    Action("run_range", "Run on...", MODELS, ("Ctrl+Shift+R",), "run-all", "Choose model, frames and threshold",
           "frame", toolbar=3),
    Action("cancel_jobs", "Cancel running work", MODELS, ("Ctrl+.",), "stop", "Stop; what is done stays", group=1),
    Action("models", "Models...", MODELS, ("Ctrl+M",), "model", "All models, built in and yours", group=2),
    Action("fine_tune", "Fine-tune...", MODELS, ("Ctrl+Shift+T",), "train",
           "Train a model on the labels of this project", "project", group=2, toolbar=6),

    Action("palette", "Command palette", HELP, ("Ctrl+K",), "palette", "Find any command by name", toolbar=7),
    Action("keys", "Keyboard shortcuts", HELP, ("F1",), "help", "All keys on one page"),
    Action("report", "Report...", HELP, (), "warning",
           "All remarks of the last import, export or run: what was left out or changed", group=1),
    Action("about", "About poseapp", HELP, (), "info", "Version, licence and device", group=1),
)
# fmt: on

_READING = frozenset({"copy", "select_all", "tool_edit", "nudge_left", "nudge_right", "settings", "assist"})
_WRITING = frozenset({"find_video", "flag", "reviewed", "run_frame", "run_range"})


def writes(row: Action) -> bool:
    """Whether a verb changes the project, and so cannot be done where it is open for reading only.

    Left and right count as reading: without a selection they go to another frame.
    """
    changes = row.menu in (EDIT, POSE, TRACK) or row.id.startswith("nudge_") or row.id in _WRITING
    return changes and row.id not in _READING


BY_ID = {action.id: action for action in ACTIONS}
