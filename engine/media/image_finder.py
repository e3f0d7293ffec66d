"""Finds the image files that labels name, wherever they lie now. One set of rules for every importer and command.

An image is looked for in this order, and all names are tried on one step before any is tried on the next:

1. the path as written, below each of the folders given (backslashes and URL schemes are understood);
2. the same path with other letter case, Unicode form (NFC, NFD) or percent escapes (also escaped twice);
3. the same path with another image extension, or with the extension that the name lacks;
4. the last folders of the path and the file name, anywhere below the folders, where exactly one file ends like that;
5. the file name alone, where exactly one file and exactly one name of the labels has it;
6. the file name without what an upload added to it, in the labels or on the disk: Label Studio puts eight digits in
   front (``1f2e3d4c-photo.jpg``), Roboflow a hash behind (``photo_jpg.rf.HASH.jpg``). Again only where exactly one file
   and one name of the labels are left.

A file is never taken for two different names. Whatever is not found, or found on steps 3 to 6, is a :class:`Finding`.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from engine.media.image_headers import read_header_of
from engine.media.images import IMAGE_SUFFIXES, is_image

SEARCH_LIMIT = 100_000
SEARCH_DEPTH = 4
_TAIL = 4
_SCHEME = re.compile(r"(https?|file|s3|gs)://", re.IGNORECASE)
_COUNTER = re.compile(r"[a-z]{0,8}[-_ ]?\d{1,8}", re.IGNORECASE)
_ASPECT_TOLERANCE = 0.02
_MOST_ESCAPES = 3
_LOCAL_FILE = re.compile(r"(?:^|/)data/local-files/?\?(?:[^#]*&)?d=([^&#]+)")
"""How Label Studio names a file of its local storage; the path is escaped."""
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
_EXPORTED = re.compile(r"(.+?)(?:[_-](jpe?g|png|bmp|webp|tiff?|gif))?\.rf\.[0-9a-z]{16,64}")
_NO_WORD = re.compile(r"[\W_]+")
_SUFFIXES = sorted(IMAGE_SUFFIXES)


class Kind(Enum):
    """What there is to say about an image; the value is the sentence for people."""

    MISSING = "Image not found"
    AMBIGUOUS = "Image not found: several files or several names would match, none was chosen"
    CLAIMED = "Image not found: the only file of this name belongs to another image"
    UNSEARCHED = "Image not found: the folder holds too many files to search"
    OTHER_EXTENSION = "Image found with another file extension"
    OTHER_FOLDER = "Image found in another folder"
    UPLOADED = "Image found by the name that it had before it was uploaded"


LOST = frozenset({Kind.MISSING, Kind.AMBIGUOUS, Kind.CLAIMED, Kind.UNSEARCHED})
"""Kinds of images that have no file."""


@dataclass(frozen=True)
class Finding:
    """Something to tell about one name. ``path`` is the file that was taken, None where there is none."""

    kind: Kind
    name: str
    path: Path | None = None

    @property
    def sentence(self) -> str:
        return f"{self.kind.value}: {self.case}"

    @property
    def case(self) -> str:
        """The name, and the file that was taken for it."""
        return self.name if self.path is None else f"{self.name} is {self.path}"


@dataclass(frozen=True)
class FoundImages:
    """Attributes:
    root: the folder below which most images were found; the first folder where none was.
    paths: per name its file, None where it has none.
    names: per name its path from ``root`` with forward slashes; names without a file as the labels have them.
    findings: names without a file, and those found in another way than by their path.
    """

    root: Path
    paths: list[Path | None]
    names: list[str]
    findings: list[Finding] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """Names without a file."""
        return [finding.name for finding in self.findings if finding.kind in LOST]


def find_images(
    names: Iterable[str],
    folders: Sequence[Path | str],
    sizes: Sequence[tuple[int, int]] | None = None,
) -> FoundImages:
    """Find the files of all images of one label file. Never raises; folders that do not exist hold nothing.

    Args:
        names: of the images, in order; a name that is there twice is one image.
        folders: where the names may begin, the likeliest first.
        sizes: width and height per name, 0 where unknown. A file of another shape is not taken by its name alone.
    """
    listed = list(names)
    search = _Search(folders)
    search.run(listed, sizes or [(0, 0)] * len(listed))
    return search.result(listed)


class ImageLookup:
    """The images of one label file, looked for when the first of them is asked for."""

    def __init__(self, names: Iterable[str], folder: Path) -> None:
        self._names, self._folder = list(names), folder
        self._paths: dict[str, Path | None] | None = None

    def path(self, name: str) -> Path:
        """The file of an image; where it would lie below the folder if it has none."""
        if self._paths is None:
            matches = find_images(self._names, [self._folder])
            self._paths = dict(zip(self._names, matches.paths, strict=True))
        return self._paths.get(name) or self._folder / name


def likely_folders(label_file: Path | str, image_root: Path | str | None = None) -> list[Path]:
    """Folders in which the image names of a label file, or of a folder of label files, may begin.

    Args:
        image_root: folder that a person named; then only that one and ``images`` in it.
    """
    if image_root is not None and str(image_root):
        return [Path(image_root), Path(image_root) / "images"]
    label_file = Path(label_file)
    here = label_file.absolute() if label_file.is_dir() else label_file.absolute().parent
    folders = [here, here / "images", here.parent / "images", here.parent]
    # person_keypoints_val2017.json -> val2017; person_keypoints_default.json -> images/default as CVAT writes it
    for split in dict.fromkeys((label_file.stem.split("_")[-1], label_file.stem)):
        folders += [here / split, here.parent / split, here / "images" / split, here.parent / "images" / split]
    return list(dict.fromkeys(folders))


def plain_name(name: str) -> str:
    """A file name with forward slashes, without a URL scheme in front."""
    local = _LOCAL_FILE.search(name)
    if local is not None:
        return unquote(local[1])
    scheme = _SCHEME.match(name)
    if scheme is not None:
        rest = unquote(name[scheme.end() :])
        return rest if scheme.group(1).lower() == "file" else rest.split("?")[0].rpartition("/")[2]
    return name.replace("\\", "/")


@dataclass(frozen=True)
class _Offer:
    """Files that fit one name, the folder they were found from, and what there is to say if one is taken."""

    files: Sequence[str] = ()
    folder: str = ""
    note: Kind | None = None


_NOTHING = _Offer()


@dataclass
class _Index:
    """Images below some folders by the last parts of their paths, and by the same without extension."""

    by_tail: dict[str, list[str]] = field(default_factory=dict)
    by_stem: dict[str, list[str]] = field(default_factory=dict)
    by_origin: dict[str, list[str]] = field(default_factory=dict)
    is_complete: bool = True

    def add(self, path: str) -> None:
        parts = _key(path.replace(os.sep, "/")).split("/")
        for length in range(1, min(len(parts), _TAIL) + 1):
            tail = "/".join(parts[-length:])
            self.by_tail.setdefault(tail, []).append(path)
            self.by_stem.setdefault(_stem(tail), []).append(path)
        self.by_origin.setdefault(_origin(parts[-1])[0], []).append(path)


class _Search:
    """The search for one label file's images; names are kept as :func:`_plain` gives them."""

    def __init__(self, folders: Sequence[Path | str]) -> None:
        self._folders = list(dict.fromkeys(os.path.abspath(folder) for folder in folders))
        self._listings: dict[str, frozenset[str]] = {}
        self._by_key: dict[str, dict[str, list[str]]] = {}
        self._stems_of: dict[str, frozenset[str]] = {}
        self._places: dict[tuple[str, str], str] = {}
        self._matches: dict[str, tuple[str, str]] = {}  # name -> file, and the folder from which it was found
        self._claimed: set[str] = set()
        self._notes: dict[str, Kind] = {}

    def run(self, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> None:
        written = {_plain(name): name for name in names if name}
        size_of = {_plain(name): size for name, size in zip(names, sizes)}
        left = self._step(list(written), self._absolute)
        folders = self._folders
        if not any(".." in unquote(name) for name in left):  # else a path can lead out of a folder that is not there
            folders = [folder for folder in folders if os.path.isdir(folder)]
        for folder in folders:
            left = self._step(left, partial(self._exact, written, folder))
        for find in (self._other_spelling, self._other_extension):
            for folder in folders:
                left = self._step(left, partial(find, folder))
        if left:
            self._by_last_parts(left, list(written), size_of)

    def result(self, names: Sequence[str]) -> FoundImages:
        matches = [self._matches.get(_plain(name)) for name in names]
        votes = Counter(match[1] for match in matches if match is not None)
        root = votes.most_common(1)[0][0] if votes else self._folders[0] if self._folders else os.getcwd()
        findings: dict[str, Finding] = {}
        for name, match in zip(names, matches):
            kind = self._notes.get(_plain(name)) or (Kind.MISSING if match is None else None)
            if kind is not None:
                findings.setdefault(name, Finding(kind, name, None if match is None else Path(match[0])))
        return FoundImages(
            Path(root),
            [None if match is None else Path(match[0]) for match in matches],
            [plain_name(name) if match is None else _from(root, match[0]) for name, match in zip(names, matches)],
            list(findings.values()),
        )

    def _step(self, names: Sequence[str], find: Callable[[str], _Offer]) -> list[str]:
        """Try one way of matching on all names; a file that two of them would get goes to neither.

        Returns:
            the names that still have no file.
        """
        offers: dict[str, list[tuple[str, _Offer]]] = {}
        for name in names:
            offer = find(name)
            free = [file for file in offer.files if file not in self._claimed]
            if len(offer.files) == len(free) == 1 and offer.note is not Kind.AMBIGUOUS:
                offers.setdefault(free[0], []).append((name, offer))
            elif offer.files:
                self._notes[name] = Kind.AMBIGUOUS if free else Kind.CLAIMED
        for file, takers in offers.items():
            if len(takers) > 1:
                self._notes.update((name, Kind.AMBIGUOUS) for name, _ in takers)
                continue
            name, offer = takers[0]
            self._matches[name] = file, offer.folder
            self._claimed.add(file)
            self._notes.pop(name, None)
            if offer.note is not None:
                self._notes[name] = offer.note
        return [name for name in names if name not in self._matches]

    def _absolute(self, name: str) -> _Offer:
        if _is_absolute(name) and os.path.isfile(name):
            return _Offer([os.path.normpath(name)], os.path.dirname(name))
        return _NOTHING

    def _exact(self, written: dict[str, str], folder: str, name: str) -> _Offer:
        if "\\" in written[name] and written[name] in self._listing(folder):  # a Linux file name can hold one
            return _Offer([os.path.join(folder, written[name])], folder)
        if _is_absolute(name):
            return _NOTHING
        path, base = self._place(folder, name)
        return _Offer([os.path.join(path, base)], folder) if base in self._listing(path) else _NOTHING

    def _other_spelling(self, folder: str, name: str) -> _Offer:
        """The same path with other letter case, Unicode form or percent escapes."""
        if _is_absolute(name):
            return _NOTHING
        for spelling in _spellings(name):
            path, base = self._place(folder, spelling)
            keys = self._keys(path)
            files = keys.get(_key(base)) if keys else None
            if files:
                return _Offer([os.path.join(path, file) for file in files], folder)
        return _NOTHING

    def _other_extension(self, folder: str, name: str) -> _Offer:
        if _is_absolute(name):
            return _NOTHING
        for spelling in _spellings(name):
            path, base = self._place(folder, spelling)
            keys = self._keys(path)
            if not keys:
                continue
            stem = _stem(_key(base))
            if stem not in self._stems(path):
                continue
            candidates = (file for suffix in _SUFFIXES for file in keys.get(stem + suffix, ()))
            files = [os.path.join(path, file) for file in candidates]
            if files:
                return _Offer(files, folder, Kind.OTHER_EXTENSION)
        return _NOTHING

    def _by_last_parts(self, left: list[str], every: Sequence[str], sizes: dict[str, tuple[int, int]]) -> None:
        """Match the last folders of a path with the file name, the most folders first, then the file name alone."""
        index = self._index()
        if not index.is_complete:
            self._notes.update((name, Kind.UNSEARCHED) for name in left)
            return
        if not index.by_tail:
            return  # there are no images
        for length in range(_TAIL, 0, -1):
            tails = Counter(tail for name in every if (tail := _tail(name, length)))
            left = self._step(left, partial(self._last_parts, index, length, tails, sizes))
        if left:
            origins = Counter(_origin(_tail(name, 1))[0] for name in every)
            left = self._step(left, partial(self._before_upload, index, origins, sizes))

    def _last_parts(
        self, index: _Index, length: int, tails: Counter[str], sizes: dict[str, tuple[int, int]], name: str
    ) -> _Offer:
        tail = _tail(name, length)
        if not tail:
            return _NOTHING
        note = Kind.OTHER_FOLDER
        files = index.by_tail.get(tail, [])
        if not files:
            files, note = index.by_stem.get(_stem(tail), []), Kind.OTHER_EXTENSION
        if length == 1:
            files = [file for file in files if self._may_be(name, file, sizes[name])]
        if not files:
            return _NOTHING
        if tails[tail] > 1:
            return _Offer(files, "", Kind.AMBIGUOUS)
        is_moved = _is_absolute(name) or length == len(_parts(name))  # nothing of a relative path was disregarded
        return _Offer(files, self._folder_of(files[0]), None if is_moved and note is Kind.OTHER_FOLDER else note)

    def _before_upload(
        self, index: _Index, origins: Counter[str], sizes: dict[str, tuple[int, int]], name: str
    ) -> _Offer:
        """Match file names without what an upload added to them, in the labels or on the disk."""
        origin, is_changed = _origin(_tail(name, 1))
        files = index.by_origin.get(origin, []) if origin else []
        if not is_changed:
            files = [file for file in files if _origin(_key(os.path.basename(file)))[1]]
        files = [file for file in files if self._may_be(name, file, sizes[name])]
        if not files:
            return _NOTHING
        if origins[origin] > 1:
            return _Offer(files, "", Kind.AMBIGUOUS)
        return _Offer(files, self._folder_of(files[0]), Kind.UPLOADED)

    def _may_be(self, name: str, file: str, size: tuple[int, int]) -> bool:
        """Whether a file may be the image of which it has the name only: it is not a numbered frame of another
        folder, and not of another shape."""
        stem = os.path.splitext(os.path.basename(name))[0]
        if "/" in name and _COUNTER.fullmatch(stem) and os.path.dirname(file) not in self._folders:
            return False
        header = read_header_of(file) if all(size) else None
        if header is None:
            return True
        ratios = (header.width / header.height, header.height / header.width)
        return any(abs(size[0] / size[1] / ratio - 1) < _ASPECT_TOLERANCE for ratio in ratios)

    def _folder_of(self, file: str) -> str:
        inside = (folder for folder in self._folders if file.startswith(os.path.join(folder, "")))
        return max(inside, key=len, default=os.path.dirname(file))

    def _place(self, folder: str, name: str) -> tuple[str, str]:
        """The folder and the file name of a path below ``folder``. Many names share few folders."""
        parent, _, base = name.rpartition("/")
        if not parent:
            return folder, base
        path = self._places.get((folder, parent))
        if path is None:
            path = self._places[folder, parent] = os.path.normpath(os.path.join(folder, parent))
        return path, base

    def _listing(self, directory: str) -> frozenset[str]:
        """The files of a folder, without its folders, dangling links and devices."""
        names = self._listings.get(directory)
        if names is None:
            try:
                with os.scandir(directory) as entries:
                    names = frozenset(entry.name for entry in entries if _is_file(entry))
            except (OSError, ValueError):  # ValueError: the name holds a null character or a lone surrogate
                names = frozenset()
            self._listings[directory] = names
        return names

    def _keys(self, directory: str) -> dict[str, list[str]]:
        keys = self._by_key.get(directory)
        if keys is None:
            keys = self._by_key[directory] = {}
            for name in self._listing(directory):
                keys.setdefault(_key(name), []).append(name)
        return keys

    def _stems(self, directory: str) -> frozenset[str]:
        """Names of the images of a folder without their extensions."""
        stems = self._stems_of.get(directory)
        if stems is None:
            stems = self._stems_of[directory] = frozenset(map(_stem, self._keys(directory)))
        return stems

    def _index(self) -> _Index:
        index = _Index()
        seen: set[str] = set()
        for top in self._folders:
            # The parent of the label file's folder may be anything, a home folder too.
            if top == os.path.dirname(self._folders[0]):
                continue
            for path in _walk(top):
                if path in seen:
                    continue
                if len(seen) >= SEARCH_LIMIT:
                    index.is_complete = False
                    return index
                seen.add(path)
                index.add(path)
        return index


def _walk(top: str) -> Iterator[str]:
    """Image files below a folder, hidden folders left out."""
    depth = top.rstrip(os.sep).count(os.sep)
    for directory, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if directory.count(os.sep) - depth >= SEARCH_DEPTH:
            folders.clear()
        for file in files:
            path = os.path.join(directory, file)
            if is_image(file) and os.path.isfile(path):
                yield path


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _spellings(name: str) -> tuple[str, ...]:
    """A name as written, and with its percent escapes resolved, as often as there are any."""
    spellings = [name]
    while "%" in spellings[-1] and len(spellings) <= _MOST_ESCAPES:
        plain = unquote(spellings[-1])
        if plain == spellings[-1]:
            break
        spellings.append(plain)
    return tuple(spellings)


def _plain(name: str) -> str:
    """What is the same for two spellings of one path."""
    plain = plain_name(name)
    return os.path.normpath(plain).replace(os.sep, "/") if plain else plain


def _key(name: str) -> str:
    """What is the same for names that differ in letter case or Unicode form only."""
    return (
        name.lower() if name.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    )


def _stem(name: str) -> str:
    """A name without its image extension; a dot in a name without one belongs to the name."""
    return os.path.splitext(name)[0] if is_image(name) else name


def _origin(base: str) -> tuple[str, bool]:
    """The file name (as :func:`_key` gives it) before an upload, without its extension and with one sign for all
    between its words, which uploads replace too; and whether an upload has changed it."""
    stem = _stem(base)
    exported = _EXPORTED.fullmatch(stem)
    origin = stem if exported is None else exported[1]
    uploaded = _UPLOADED.match(origin)
    origin = origin if uploaded is None else origin[uploaded.end() :]
    return _NO_WORD.sub("_", origin).strip("_"), exported is not None or uploaded is not None


def _parts(name: str) -> list[str]:
    plain = _key(_spellings(name)[-1])
    return [part for part in plain.split("/") if part not in ("", ".", "..") and not part.endswith(":")]


def _tail(name: str, length: int) -> str:
    parts = _parts(name)
    return "/".join(parts[-length:]) if len(parts) >= length else ""


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or name[1:3] == ":/"


def _from(root: str, path: str) -> str:
    if path.startswith(root + os.sep):
        return path[len(root) + 1 :].replace(os.sep, "/")
    try:
        return os.path.relpath(path, root).replace(os.sep, "/")
    except ValueError:  # another drive
        return path.replace(os.sep, "/")
