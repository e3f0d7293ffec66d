"""Verbs of looking: zoom, switches, colors, theme, tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from engine.errors import PoseError
from engine.schema.schema import Subset
from poseapp.app import data_folders
from poseapp.app.canvas_style import OWN_COLORS, CanvasStyle, ColorMode
from poseapp.app.log_file import is_logging, start_log, stop_log
from poseapp.app.shortcuts import default_keys, with_changes
from poseapp.canvas.render.colors import palette_for, part_color
from poseapp.canvas.tools import TOOLS
from poseapp.commands.category import ask_object, choose_kind
from poseapp.commands.context import Context, finish_placing
from poseapp.dialogs.settings.dialog import NEXT_START, Look, SettingsDialog
from poseapp.dialogs.settings.storage import DataPlace, DataSettings
from poseapp.project.edits.geometry import extent
from poseapp.project.schema import part_colors
from poseapp.project.schema.subsets import possible_points

SMALLEST = 96.0
"""Image pixels that a zoom to a pose shows at least: a distant person is not blown up to single pixels."""


def zoom_in(context: Context) -> None:
    context.canvas.zoom_in()


def zoom_out(context: Context) -> None:
    context.canvas.zoom_out()


def fit(context: Context) -> None:
    context.canvas.fit()


def actual_size(context: Context) -> None:
    context.canvas.actual_size()


def zoom_pose(context: Context) -> None:
    """The selected pose, else the only or first one."""
    session = context.session
    for instance in session.selected or session.instances:
        box = extent(instance)
        if box is None:
            box = instance.box
        if box is not None:
            x1, y1, x2, y2 = (float(v) for v in box)
            grow_x, grow_y = max(0.0, SMALLEST - (x2 - x1)) / 2, max(0.0, SMALLEST - (y2 - y1)) / 2
            context.canvas.zoom_to((x1 - grow_x, y1 - grow_y, x2 + grow_x, y2 + grow_y))
            return


def hide_others(context: Context) -> None:
    _switch(context, "hide_others")


def show_labels(context: Context) -> None:
    _switch(context, "show_labels")


def show_bones(context: Context) -> None:
    _switch(context, "show_bones")


def show_boxes(context: Context) -> None:
    _switch(context, "show_boxes")


def show_missing(context: Context) -> None:
    _switch(context, "show_missing")


def show_minimap(context: Context) -> None:
    _switch(context, "show_minimap")


def _switch(context: Context, name: str) -> None:
    style = context.canvas.style_now
    _set(context, **{name: not getattr(style, name)})


def set_color_mode(context: Context, mode: ColorMode) -> None:
    _set(context, color_mode=mode)


def color_side(context: Context) -> None:
    set_color_mode(context, ColorMode.SIDE)


def color_limb(context: Context) -> None:
    set_color_mode(context, ColorMode.LIMB)


def color_instance(context: Context) -> None:
    set_color_mode(context, ColorMode.INSTANCE)


def color_score(context: Context) -> None:
    set_color_mode(context, ColorMode.SCORE)


def color_part(context: Context) -> None:
    set_color_mode(context, ColorMode.PART)


def draw_parts(context: Context, parts: frozenset[str] | None) -> None:
    """Only these parts of the points, or with None all."""
    context.canvas.set_style(replace(context.canvas.style_now, parts=parts))


def look_of_parts(style: CanvasStyle) -> tuple[frozenset[str] | None, Callable[[str], int], frozenset[str], bool]:
    """The parts that are drawn; the color 0xRRGGBB of one; those with one of their own; whether colors tell parts."""
    shown = palette_for(dark=style.dark, parts=style.part_colors)
    own = frozenset(name for name, _ in style.part_colors)
    return style.parts, lambda part: part_color(shown, part), own, style.color_mode is ColorMode.PART


def set_part_color(context: Context, part: str, color: int | None) -> None:
    """Give a part of the points a color in this project, or with None the palette's again; it is shown at once."""
    store = context.session.store
    if store is None:
        return
    if store.read_only:
        context.window.tell("The project is open for reading only here; nothing was changed", "warning")
        return
    try:
        part_colors.set_part_color(store, part, color)
    except PoseError as error:
        context.window.tell(str(error), "error")
        return
    _set(context, part_colors=part_colors.part_colors(store), color_mode=ColorMode.PART)


def color_source(context: Context) -> None:
    set_color_mode(context, ColorMode.SOURCE)


def _set(context: Context, **changes: object) -> None:
    context.canvas.set_style(replace(context.canvas.style_now, **changes))  # type: ignore[arg-type]
    context.settings.keep_canvas_style(context.canvas.style_now)
    context.window.refresh_actions()


def theme_system(context: Context) -> None:
    context.window.set_theme("system")


def theme_dark(context: Context) -> None:
    context.window.set_theme("dark")


def theme_light(context: Context) -> None:
    context.window.set_theme("light")


def choose_tool(context: Context, tool: str) -> None:
    """Take a tool of the canvas by its id. For one that places points, which points a new pose has is asked first."""
    info = next(entry.info for entry in TOOLS if entry.info.id == tool)
    if info.needs_placement:
        _choose_placement(context, lambda: _take_tool(context, tool))
    else:
        finish_placing(context)
        _take_tool(context, tool)


def _take_tool(context: Context, tool: str) -> None:
    context.canvas.set_tool(tool)
    context.canvas.setFocus()


def _choose_placement(context: Context, then: Callable[[], None]) -> None:
    """Points of the session's category; where there is none yet, its kind is asked for first."""
    category = context.session.category
    if category is None:
        choose_kind(context, then=lambda context: _choose_placement(context, then))
        return
    finish_placing(context)

    def begin(subset: Subset | None) -> None:
        context.canvas.set_placement(category.schema, subset=subset)
        then()
        first = category.schema.names[0 if subset is None else subset.start].replace("_", " ")
        name = category.name if subset is None else subset.name.replace("_", " ")
        context.window.tell(
            f"Click {first}, then the other keypoints of {name} in order. Tab skips, Enter finishes, Esc cancels."
        )

    ask_object(context, category, begin)


def place_missing(context: Context) -> None:
    """The points that the selected pose has not, in order."""
    finish_placing(context)
    session = context.session
    if len(session.selected) != 1:
        context.window.tell("Select one pose first")
        return
    pose = session.selected[0]
    schema = session.schema_of(pose)
    possible = possible_points(schema, pose.visibility)
    missing = [n for n, seen, can in zip(schema.names, pose.visibility, possible) if can and not seen]
    if not missing:
        context.window.tell("This pose has all its keypoints")
        return
    context.canvas.set_placement(session.schema_of(pose), pose)
    context.canvas.set_tool("place")
    context.canvas.setFocus()
    context.window.tell(f"Click {missing[0].replace('_', ' ')}. Tab skips, Enter finishes, Esc cancels.")


def settings(context: Context) -> None:
    """Keys, look and data; every change holds at once."""
    settings = context.settings
    page = DataSettings(
        lambda: data_places(context),
        context.runner,
        lambda name, folder: _move_place(context, name, folder),
        lambda: _what_runs(context),
    )
    style = context.canvas.style_now
    look = Look(**{field.name: getattr(style, field.name) for field in fields(Look)})
    theirs = palette_for(dark=style.dark)
    colors = {
        **dict(zip(OWN_COLORS, (*theirs.sides[1:], theirs.sides[0]))),
        "human": theirs.human,
        "model": theirs.model,
    }
    dialog = SettingsDialog(
        with_changes(settings.key_changes(), default_keys(context.window.action_table)),
        context.window.action_table,
        settings.theme,
        look,
        colors,
        page,
        context.window.widget(),
        settings.language,
    )
    dialog.keymap_changed.connect(context.window.set_keys)
    dialog.theme_changed.connect(context.window.set_theme)
    dialog.language_changed.connect(lambda name: _set_language(context, name))
    dialog.look_changed.connect(lambda look: _set_look(context, look))
    dialog.show()


def data_places(context: Context) -> list[DataPlace]:
    """Where things lie: of this project, and of the program."""
    folders = [DataPlace("settings", "Settings", context.settings.file, "Shortcuts, appearance and recent projects")]
    if context.session.path is not None:
        folders.insert(0, DataPlace("project", "This project", context.session.path, "Labels, history and tracks"))
    for folder in data_folders.DATA_FOLDERS:
        fixed = data_folders.is_set_outside(folder)
        why = f"{folder.variable} of the system's environment says where" if fixed else ""
        cleared = data_folders.cache_parts() if folder.cache else ()
        folders.append(DataPlace(folder.id, folder.name, folder.find(), folder.hint, cleared, not fixed, why))
    return folders


def _what_runs(context: Context) -> str:
    training = any(not run.is_over for run in getattr(context.window, "runs", ()))
    return "Wait until the current training has ended." if training else ""


def _move_place(context: Context, name: str, folder: Path) -> None:
    """Data lie there now: use them from now on."""
    log = is_logging() and name == "logs"
    if log:
        stop_log()
    data_folders.use(data_folders.BY_ID[name], folder)
    context.settings.keep_folder(name, folder)
    if log:
        start_log(data_folders.log_folder())


def _set_language(context: Context, name: str) -> None:
    context.settings.language = name
    context.window.tell(NEXT_START)


def _set_look(context: Context, look: Look) -> None:
    """What the dialog asks for; the theme's side stays the window's."""
    chosen = {field.name: getattr(look, field.name) for field in fields(Look)}
    _set(context, **{**chosen, "color_mode": ColorMode(look.color_mode)})


def palette(context: Context) -> None:
    context.window.show_palette()


def keys(context: Context) -> None:
    context.window.show_keys()


def report(context: Context) -> None:
    context.window.show_report()


def import_report(context: Context) -> None:
    context.window.show_import_reports()


def about(context: Context) -> None:
    from poseapp import __version__

    device = context.host.description or "no model loaded yet"
    context.window.tell(f"poseapp {__version__}, Apache-2.0. Device: {device}.")
