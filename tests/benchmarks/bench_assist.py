"""What assist saves, without a window: `python tests/benchmarks/bench_assist.py [--people N] [--data FOLDER]`.

Prints Markdown. A labeller in a program of its own does what that of `bench_interactions.py` does by mouse and keys:
always the worst wrong joint first, the model's proposal taken (one key) where that saves two interactions or more, all
of it or nothing. A joint is wrong while it is farther off than the distance at which its object keypoint similarity is
0.5. A proposal that moves a right joint off its place makes a wrong one.

    box              N and a box by a drag, what the model says there is put right
    points           P, the first labelled points, Enter; what the model proposes for the rest is put right
    predictions      what detector and model found in the picture is put right; who was not found gets a box
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.inference.pose_model import PoseModel
from engine.inference.refinement import Estimate, refine_pose
from engine.media.images import read_image
from engine.schema.builtin import find_schema

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("POSEAPP_TEST_DATA", ROOT.parent / "shared"))
DATA = SHARED / "data" / "coco-mini"
SCHEMA = find_schema("coco")
FOUND = 0.1
"""Mean object keypoint similarity from which on a prediction is this person's."""
LEAST_POSE, LEAST_POINT, LEAST_GHOST, LEAST_SHIFT = 0.2, 0.15, 0.15, 2.0
"""Scores of a prediction that is shown, of its points, and of points in a proposal; pixels of a shift that is shown."""
MOST = 60

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Person:
    """A labelled person: (17, 2) points, (17,) visibility, xyxy box, area in pixels."""

    file: Path
    points: Floats
    seen: npt.NDArray[np.int64]
    box: Floats
    area: float

    def wrong(self, pose: Pose | None) -> Flags:
        labelled = self.seen > 0
        if pose is None:
            return labelled
        square = ((pose.points - self.points) ** 2).sum(1)
        near = square <= 2 * np.log(2) * self.area * (2 * SCHEMA.sigmas) ** 2
        wrong: Flags = labelled & ~(near & pose.there)
        return wrong

    def similarity(self, pose: Pose) -> float:
        square = ((pose.points - self.points) ** 2).sum(1)
        similarity = np.exp(-square / (2 * self.area * (2 * SCHEMA.sigmas) ** 2)) * pose.there
        return float(similarity[self.seen > 0].mean())


@dataclass(frozen=True, eq=False)
class Pose:
    """A pose as the project has it: (17, 2) points, (17,) whether they are there, whether a person set them."""

    points: Floats
    there: Flags
    held: Flags
    box: Floats | None = None
    score: Floats | None = None


def read_people(data: Path, name: str) -> list[Person]:
    content = json.loads((data / name).read_text("utf-8"))
    files = {image["id"]: image["file_name"] for image in content["images"]}
    people = []
    for row in content["annotations"]:
        points = np.array(row.get("keypoints", ()), dtype=np.float64).reshape(-1, 3)
        if row.get("num_keypoints") and len(points) == SCHEMA.num_keypoints:
            x, y, w, h = row["bbox"]
            file = data / files[row["image_id"]]
            file = file if file.exists() else data / "images" / files[row["image_id"]]
            seen = points[:, 2].astype(np.int64)
            people.append(Person(file, points[:, :2], seen, np.array([x, y, x + w, y + h]), row["area"]))
    return people


class Labeller:
    """Counts what a person costs; the networks' answers of the pictures as a whole are remembered."""

    def __init__(self, model: PoseModel, estimate: Callable[..., Estimate] = refine_pose) -> None:
        self.model, self.estimate = model, estimate
        self.images: dict[Path, Any] = {}
        self.found: dict[Path, list[Pose]] = {}
        self.seconds: list[float] = []
        self.log: list[str] = []

    def image(self, file: Path) -> Any:
        if file not in self.images:
            self.images[file] = read_image(file)
        return self.images[file]

    def predictions(self, file: Path) -> list[Pose]:
        if file not in self.found:
            image = self.image(file)
            (result,) = self.model.run([image])
            self.found[file] = [self._shown(p, image) for p in result if p.score >= LEAST_POSE]
        return self.found[file]

    def in_box(self, person: Person) -> Pose:
        image = self.image(person.file)
        (result,) = self.model.run([image], boxes=[person.box[None]], flip_test=True)
        return self._shown(result[0], image)

    def _shown(self, result: Any, image: Any) -> Pose:
        points = np.array(result.keypoints[:, :2], np.float64)
        inside = ((points >= -0.5) & (points <= np.array(image.shape[1::-1]) - 0.5)).all(1)
        scores = np.where(inside, result.keypoints[:, 2], 0.0)
        return Pose(points, scores >= LEAST_POINT, np.zeros(17, np.bool_), np.array(result.box, np.float64), scores)

    def from_predictions(self, person: Person, assist: bool) -> int:
        """Corrections of what was found."""
        best = max(self.predictions(person.file), key=person.similarity, default=None)
        if best is not None and person.similarity(best) >= FOUND:
            return self._correct(person, best, assist, 0)
        return self.from_box(person, assist)

    def from_box(self, person: Person, assist: bool) -> int:
        """N and a drag, then corrections."""
        return self._correct(person, self.in_box(person), assist, 2)

    def from_points(self, person: Person, points: int) -> int:
        """P, a click or a Tab for each point up to the wanted number of labelled ones, Enter."""
        labelled = np.flatnonzero(person.seen)
        last = int(labelled[min(points, len(labelled)) - 1])
        held = np.arange(17) <= last
        present = held & (person.seen > 0)
        pose = Pose(np.where(present[:, None], person.points, 0.0), present, held)
        count = 1 + int(held.sum()) + (last < 16)
        pose, more = self._consider(person, pose, None)
        return self._correct(person, pose, True, count + more, few=True)

    def _correct(self, person: Person, pose: Pose, assist: bool, count: int, *, few: bool = False) -> int:
        ended = few
        while count < MOST:
            wrong = person.wrong(pose)
            if not wrong.any():
                return count + (not ended)
            before = pose
            pose, more = self._put_right(person, pose, wrong)
            count, ended = count + more, few
            if assist:
                pose, more = self._consider(person, pose, before)
                count, ended = count + more, few or more > 0
        return count

    def _put_right(self, person: Person, pose: Pose, wrong: Flags) -> tuple[Pose, int]:
        """The worst joint that is there, else an absent one, each by one drag."""
        distance = np.linalg.norm(pose.points - person.points, axis=1)
        which = np.arange(17) == int(np.argmax(np.where(wrong, distance + 1e6 * pose.there, -1.0)))
        points = np.where(which[:, None], person.points, pose.points)
        return replace(pose, points=points, there=pose.there | which, held=pose.held | which), 1

    def _consider(self, person: Person, pose: Pose, before: Pose | None) -> tuple[Pose, int]:
        """The pose and what it took. The key that takes a proposal ends the work too, where nothing is wrong then."""
        ghost = self.ghost(person, pose, before)
        if ghost is None:
            return pose, 0
        added = ghost.there & ~pose.there & (person.seen == 0)
        left = int(person.wrong(ghost).sum())
        if person.wrong(pose).sum() - left - added.sum() + (left == 0) < 2:
            return pose, 0
        return ghost, 1

    def ghost(self, person: Person, pose: Pose, before: Pose | None) -> Pose | None:
        """What the model proposes, as the window shows it."""
        image = self.image(person.file)
        start = time.perf_counter()
        old = None if before is None else before.points
        scores = pose.score
        result = self.estimate(
            self.model.estimator, image, pose.points, pose.held, pose.there, before=old, box=pose.box, scores=scores
        )
        self.seconds.append(time.perf_counter() - start)
        free = ~pose.held
        new = free & ~pose.there & (result.scores >= LEAST_GHOST)
        moves = free & pose.there & (np.linalg.norm(result.keypoints - pose.points, axis=1) > LEAST_SHIFT) | new
        if not moves.any():
            return None
        score = result.scores if pose.score is None else np.where(moves, result.scores, pose.score)
        points = np.where(moves[:, None], result.keypoints, pose.points)
        return replace(pose, points=points, there=pose.there | new, score=score)


def report(name: str, totals: Sequence[int]) -> str:
    high = sorted(totals)[int(0.9 * len(totals)) - 1]
    return f"| {name} | {statistics.median(totals):g} | {statistics.mean(totals):.2f} | {high} | {max(totals)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--labels", default="person_keypoints.json")
    args = parser.parse_args()
    people = read_people(args.data, args.labels)[: args.people]
    labeller = Labeller(PoseModel.load("movenet_thunder", None, "cpu"))
    print(f"{len(people)} labelled people\n\n| way | median | mean | 90 % | most |\n|---|---|---|---|---|")
    methods: dict[str, Callable[[Person], int]] = {
        "box": lambda p: labeller.from_box(p, False),
        "box, assist": lambda p: labeller.from_box(p, True),
        **{f"{n} points, assist": lambda p, n=n: labeller.from_points(p, n) for n in (1, 2, 3, 4, 7)},
        "predictions": lambda p: labeller.from_predictions(p, False),
        "predictions, assist": lambda p: labeller.from_predictions(p, True),
    }
    for name, method in methods.items():
        print(report(name, [method(person) for person in people]), flush=True)
    times = sorted(labeller.seconds)
    print(
        f"\n{len(times)} estimates, median {1000 * statistics.median(times):.0f} ms, 95 % "
        f"{1000 * times[int(0.95 * len(times)) - 1]:.0f} ms"
    )


if __name__ == "__main__":
    main()
