"""A training set from label files: images, instances, categories. Loads no torch.

Boxes are x1 y1 x2 y2 float32 in image pixels; keypoints (K, 2) float32; ``labelled`` (K,) bool is COCO visibility > 0.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import TrainingError
from engine.formats.coco.dataset import CocoAnnotation, CocoCategory, CocoDataset, CocoImage, Id
from engine.formats.datasets import AIC_INTO_COCO17, aic_into_coco17, open_dataset, read_as_coco, sniff, to_coco
from engine.formats.datasets.loading import plain_coco
from engine.media.image_finder import find_images
from engine.schema.builtin import find_schema
from engine.schema.matching import builtins_with_count, fits, schema_with_names
from engine.schema.schema import Schema, unique_names
from engine.train.data.record_check import check_records

Floats = npt.NDArray[np.float32]

COCO_POINTS = 17
SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, eq=False)
class Instance:
    """One labelled pose.

    Attributes:
        id: of the annotation, for messages.
        image: index in the set's ``images``.
        keypoints: (K, 2) float32 image pixels; labelled: (K,) bool.
        box: (4,) float32 xyxy; area: square pixels, for OKS.
        category: name.
        covered: (K,) bool, False for points that its data set never labels; None = all are covered.
    """

    id: int | str
    image: int
    keypoints: Floats
    labelled: npt.NDArray[np.bool_]
    box: Floats
    area: float
    category: str
    covered: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image with all boxes of the trained categories.

    Attributes:
        id: of the image record.
        boxes: (N, 4), labels: (N,) indices of their categories.
        crowds: (M, 4) regions to ignore.
        size: width and height in the label file, 0 if it does not say.
    """

    id: int | str
    path: Path
    boxes: Floats
    labels: npt.NDArray[np.int64]
    crowds: Floats
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class TrainingSet:
    """``images`` are those with at least one annotation; the others may just not be labelled yet.

    ``remarks`` are findings about the file. ``origin`` is the fingerprint of the set that this one was made from by
    leaving out unreadable images: an image that gets damaged does not make it another set.
    """

    file: Path
    schema: Schema
    categories: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    instances: tuple[Instance, ...]
    unlabelled: int = 0
    skipped: int = 0
    remarks: tuple[str, ...] = ()
    origin: str = ""

    def subset(self, images: Sequence[int]) -> TrainingSet:
        """The set with these images only, by index."""
        new_index = {old: new for new, old in enumerate(images)}
        instances = tuple(replace(i, image=new_index[i.image]) for i in self.instances if i.image in new_index)
        return replace(self, images=tuple(self.images[i] for i in images), instances=instances)

    @property
    def fingerprint(self) -> str:
        """Changes when anything changes that a run learns from."""
        if self.origin:
            return self.origin
        digest = hashlib.sha256(repr((self.schema.names, self.categories)).encode())
        for image in self.images:
            digest.update(f"{image.id}\0{image.path.name}\0".encode())
            digest.update(image.boxes.tobytes())
        for item in self.instances:
            digest.update(item.keypoints.tobytes() + item.labelled.tobytes() + item.box.tobytes())
        return digest.hexdigest()[:16]


def read_training_set(
    file: Path | str, images: Path | str = "", schema: str | Schema = "", margin: float = 20.0, kind: str = ""
) -> TrainingSet:
    """Read labels of any format.

    Args:
        images: folder of the images; "" = the folder of the file.
        schema: name or file of a schema, or the schema itself; "" = that of the category with most labelled poses.
        margin: pixels added around the points of an annotation without a box.
        kind: of a data set in which each category has its own range of points, of which ``schema`` is one
            (DeepFashion2).

    Raises:
        LabelError: the file cannot be read. TrainingError: no category fits the schema, nothing is labelled.
    """
    file = Path(file)
    _refuse_project(file)
    requested = schema if isinstance(schema, Schema) else find_schema(schema) if schema else None
    if kind and requested is not None:
        dataset = plain_coco(file, requested.names) or to_coco(open_dataset(kind, file, images), own_points=True)
    else:
        dataset = read_as_coco(file, images, names=() if requested is None else requested.names)
    chosen = schema_of(dataset, file) if requested is None else requested
    return training_set_of(dataset, chosen, file, Path(images) if str(images) else file.parent, margin)


def _refuse_project(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            is_project = opened.read(len(SQLITE)) == SQLITE
    except OSError:  # reading it reports the error
        return
    if is_project:
        raise TrainingError(
            "is a poseapp project: open it and use Models > Fine-tune, or export it with File > Export COCO and train "
            "on that file",
            where=file,
        )


def read_extra_set(file: Path | str, images: Path | str, data: TrainingSet, margin: float = 20.0) -> TrainingSet:
    """A second data set of the same keypoints; people of AI Challenger are converted to the 17 keypoints of COCO.

    Raises:
        LabelError, TrainingError: as :func:`read_training_set`.
    """
    file = Path(file)
    if data.schema.num_keypoints != COCO_POINTS or sniff(file) != "aic":
        return read_training_set(file, images, data.schema, margin)
    people = open_dataset("aic", file, images)
    folder = Path(images) if str(images) else file.parent
    extra = training_set_of(to_coco(aic_into_coco17(people)), data.schema, file, folder, margin)
    covered = np.isin(np.arange(COCO_POINTS), list(AIC_INTO_COCO17.values()))
    return replace(extra, instances=tuple(replace(item, covered=covered) for item in extra.instances))


def joined(first: TrainingSet, second: TrainingSet) -> TrainingSet:
    """Both sets as one; file, schema and categories are those of the first."""
    moved = tuple(replace(item, image=item.image + len(first.images)) for item in second.instances)
    return replace(
        first,
        images=first.images + second.images,
        instances=first.instances + moved,
        unlabelled=first.unlabelled + second.unlabelled,
        skipped=first.skipped + second.skipped,
        remarks=first.remarks + second.remarks,
    )


def training_set_of(
    dataset: CocoDataset, schema: Schema, file: Path, folder: Path, margin: float = 20.0
) -> TrainingSet:
    """A training set from labels in memory; arguments as for :func:`read_training_set`.

    Raises:
        TrainingError: no category fits the schema.
    """
    fitting = fitting_categories(dataset, schema, file)
    names = tuple(dict.fromkeys(category.name for category in fitting))
    if schema.category not in names:  # predictions get the category name of the labels
        schema = msgspec.structs.replace(schema, category=names[0])
    label = {category.id: names.index(category.name) for category in fitting}
    grouped: dict[int | str, list[CocoAnnotation]] = {}
    for annotation in dataset.annotations:
        if annotation.category_id in label:
            grouped.setdefault(annotation.image_id, []).append(annotation)

    labelled_images: list[LabelledImage] = []
    instances: list[Instance] = []
    skipped = 0
    for image, path in zip(dataset.images, _image_paths(dataset.images, folder), strict=True):
        annotations = grouped.get(image.id)
        if not annotations:
            continue
        boxes, labels, crowds = [], [], []
        for annotation in annotations:
            instance = _instance(
                annotation, len(labelled_images), schema, names[label[annotation.category_id]], margin, file
            )
            box = _box(annotation) if instance is None else instance.box
            if instance is not None:
                instances.append(instance)
            else:
                skipped += 1
            if box is None:
                continue
            if annotation.iscrowd:
                crowds.append(box)
            else:
                boxes.append(box)
                labels.append(label[annotation.category_id])
        labelled_images.append(
            LabelledImage(
                image.id,
                path,
                _rows(boxes),
                np.asarray(labels, np.int64),
                _rows(crowds),
                (int(image.width or 0), int(image.height or 0)),
            )
        )
    return TrainingSet(
        file=file,
        schema=schema,
        categories=names,
        images=tuple(labelled_images),
        instances=tuple(instances),
        unlabelled=len(dataset.images) - len(labelled_images),
        skipped=skipped,
        remarks=tuple(check_records(dataset, label, file)),
    )


def _image_paths(images: Sequence[CocoImage], folder: Path) -> list[Path]:
    """Paths of the images, by the rules of :mod:`engine.media.image_finder`; as the file says for those not found."""
    sizes = [(image.width, image.height) for image in images]
    matches = find_images((image.file_name for image in images), [folder], sizes)
    return [path or folder / image.file_name for image, path in zip(images, matches.paths, strict=True)]


def schema_of(dataset: CocoDataset, file: Path) -> Schema:
    """The schema of the category with most labelled poses; a built-in schema if it has the same names, or if the file
    has no names and only one built-in schema has as many keypoints.

    Raises:
        TrainingError: no category names keypoints, and their number does not decide.
    """
    counts = dict.fromkeys((category.id for category in dataset.categories), 0)
    sizes: Counter[tuple[Id, int]] = Counter()
    for annotation in dataset.annotations:
        if annotation.category_id in counts and annotation.keypoints and any(annotation.keypoints[2::3]):
            counts[annotation.category_id] += 1
            sizes[annotation.category_id, len(annotation.keypoints) // 3] += 1
    named = [category for category in dataset.categories if category.keypoints]
    if named:
        return schema_of_category(max(named, key=lambda category: counts[category.id]))
    if not sizes:
        raise TrainingError("no category names its keypoints; say which with --schema", where=file)
    (identity, count), _ = sizes.most_common(1)[0]
    fitting = builtins_with_count(count)
    if len(fitting) != 1:
        hint = f"several schemas have {count}" if fitting else f"no built-in schema has {count}"
        options = ", ".join(schema.name for schema in fitting) or "the file of your own"
        raise TrainingError(f"no category names its {count} keypoints, and {hint}; say which with --schema ({options})",
                            where=file)  # fmt: skip
    name = next(category.name for category in dataset.categories if category.id == identity)
    return msgspec.structs.replace(fitting[0], category=name)


def schema_of_category(category: CocoCategory) -> Schema:
    """A category's schema: the built-in one with the same keypoints, with the category's name, else one made from the
    category."""
    schema = schema_with_names(unique_names(category.keypoints))
    if schema is None:
        return category.schema()
    return schema if schema.category == category.name else msgspec.structs.replace(schema, category=category.name)


def split(data: TrainingSet, fraction: float, seed: int) -> tuple[TrainingSet, TrainingSet | None]:
    """Set whole images aside for validation, so that no image is in both sets.

    Returns:
        Training and validation set; None if fewer than 8 images have poses, too few to set one aside.
    """
    with_poses = sorted({instance.image for instance in data.instances})
    if fraction <= 0 or len(with_poses) < 8:
        return data, None
    count = min(max(1, round(fraction * len(with_poses))), len(with_poses) - 1)
    aside = set(np.random.default_rng([seed, 0x5E1]).permutation(with_poses)[:count].tolist())
    rest = [i for i in range(len(data.images)) if i not in aside]
    return data.subset(rest), data.subset(sorted(aside))


def fitting_categories(dataset: CocoDataset, schema: Schema, file: Path) -> list[CocoCategory]:
    """The categories with the keypoints of a schema: by their names, however spelled, else by their number if the file
    does not name them.

    Raises:
        TrainingError: there is none.
    """
    count = schema.num_keypoints
    sized = {a.category_id for a in dataset.annotations if a.keypoints and len(a.keypoints) == 3 * count}
    named, unnamed = [], []
    for category in dataset.categories:
        names = unique_names(category.keypoints)
        # Human-Art has 21 names in its categories, but only the first 17 points in "keypoints".
        if fits(schema, names) or (category.id in sized and fits(schema, names[:count])):
            named.append(category)
        elif category.id in sized and (not names or (len(names) == count and all(name.isdigit() for name in names))):
            unnamed.append(category)
    if named or unnamed:
        return named or unnamed
    listed = "; ".join(f"{c.name!r} has {', '.join(c.keypoints[:4]) or 'none'}" for c in dataset.categories[:3])
    raise TrainingError(
        f"no category has the {schema.num_keypoints} keypoints of schema {schema.name!r} "
        f"({', '.join(schema.names[:4])}, ...); {listed}",
        where=file,
    )


def _instance(
    annotation: CocoAnnotation, image: int, schema: Schema, category: str, margin: float, file: Path
) -> Instance | None:
    """None if no point is labelled, or the annotation is a crowd."""
    if not annotation.keypoints or annotation.iscrowd:
        return None
    flat = np.asarray(annotation.keypoints, np.float32)
    if flat.size != 3 * schema.num_keypoints:
        raise TrainingError(
            f"has {flat.size} numbers in 'keypoints' instead of {3 * schema.num_keypoints}",
            where=f"{file}: annotation {annotation.id}",
        )
    points = flat.reshape(-1, 3)
    labelled = (points[:, 2] > 0) & np.isfinite(points[:, :2]).all(axis=1)
    if not labelled.any():
        return None
    box = _box(annotation)
    if box is None:
        seen = points[labelled, :2]
        box = np.concatenate([seen.min(axis=0) - margin, seen.max(axis=0) + margin]).astype(np.float32)
    area = annotation.area or 0.53 * float((box[2] - box[0]) * (box[3] - box[1]))
    return Instance(annotation.id, image, np.ascontiguousarray(points[:, :2]), labelled, box, float(area), category)


def _box(annotation: CocoAnnotation) -> Floats | None:
    """xyxy of the annotation's bbox; None without one, or if it has no area."""
    if not annotation.bbox:
        return None
    x, y, width, height = (float(v) for v in annotation.bbox)
    if not (width > 0 and height > 0 and np.isfinite([x, y, width, height]).all()):
        return None
    return np.asarray([x, y, x + width, y + height], np.float32)


def _rows(boxes: Sequence[Floats]) -> Floats:
    return np.asarray(boxes, np.float32).reshape(-1, 4)
