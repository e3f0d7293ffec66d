"""The whole content of a project as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from poseapp.project.store import ProjectStore


def content(store: ProjectStore) -> dict[str, Any]:
    """Categories, frames and instances in the order in which the project gives them."""
    return {
        "categories": [[category.id, category.name, category.schema.to_dict()] for category in store.categories()],
        "frames": [
            [*frame.key, frame.name, frame.width, frame.height, asdict(frame.state)] for frame in store.frames()
        ],
        "instances": [
            {
                "frame": list(key),
                "id": instance.id,
                "category": instance.category,
                "keypoints": instance.keypoints.tolist(),
                "visibility": instance.visibility.tolist(),
                "by_human": instance.by_human.tolist(),
                "scores": None if instance.scores is None else instance.scores.tolist(),
                "score": instance.score,
                "box": None if instance.box is None else instance.box.tolist(),
                "track": instance.track,
                "source": instance.source,
                "state": str(instance.state),
            }
            for key, instance in store.all_instances()
        ],
    }
