"""Write resources/schemas/*.toml from a folder of JSON facts about the public keypoint datasets.

    python tools/make_schemas.py FACTS_FOLDER [OUT_FOLDER]

Each fact file holds what a dataset description of MMPose (Apache-2.0) says: names, swap partners, limbs, colors,
sigmas, upper and lower halves, the paper. What is wrong there is corrected by the tables below, and the schema's notes
say so. The product reads the TOML files only; this script is kept so that they can be made again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.schema.schema import DEFAULT_PART, DEFAULT_SIGMA, load_schema
from engine.schema.sides import side_of

# stem: (title, category)
TITLES = {
    "300w": ("300W, 68 face points", "face"),
    "aflw": ("AFLW, 19 face points", "face"),
    "aic": ("AI Challenger, 14 body points", "person"),
    "animalpose": ("Animal-Pose, 20 points of four-legged animals", "animal"),
    "ap10k": ("AP-10K, 17 points of animals", "animal"),
    "coco": ("COCO, 17 body points", "person"),
    "coco_wholebody": ("COCO-WholeBody, 133 points", "person"),
    "coco_wholebody_face": ("COCO-WholeBody face, 68 points", "face"),
    "coco_wholebody_hand": ("COCO-WholeBody hand, 21 points", "hand"),
    "cofw": ("COFW, 29 face points", "face"),
    "crowdpose": ("CrowdPose, 14 body points", "person"),
    "deepfashion2": ("DeepFashion2, 294 points of 13 garments", "clothes"),
    "deepfashion_full": ("DeepFashion full body, 8 points", "fashion"),
    "deepfashion_lower": ("DeepFashion lower body, 4 points", "fashion"),
    "deepfashion_upper": ("DeepFashion upper body, 6 points", "fashion"),
    "freihand2d": ("FreiHAND, 21 hand points", "hand"),
    "halpe": ("Halpe full body, 136 points", "person"),
    "halpe26": ("Halpe, 26 body and foot points", "person"),
    "humanart": ("Human-Art, 17 body points", "person"),
    "jhmdb": ("JHMDB, 15 body points", "person"),
    "mpii": ("MPII, 16 body points", "person"),
    "ochuman": ("OCHuman, 17 body points", "person"),
    "onehand10k": ("OneHand10K, 21 hand points", "hand"),
    "posetrack18": ("PoseTrack18, 17 body points", "person"),
    "wflw": ("WFLW, 98 face points", "face"),
}

Runs = tuple[tuple[str, int], ...]
FACE_68: Runs = (
    ("jaw", 17), ("right_brow", 5), ("left_brow", 5), ("nose", 9), ("right_eye", 6), ("left_eye", 6), ("mouth", 20),
)  # fmt: skip
FACE_98: Runs = (
    ("jaw", 33), ("right_brow", 9), ("left_brow", 9), ("nose", 9), ("right_eye", 8), ("left_eye", 8), ("mouth", 20),
)  # fmt: skip
FACE_19: Runs = (
    ("right_brow", 3), ("left_brow", 3), ("right_eye", 3), ("left_eye", 3), ("nose", 3), ("mouth", 3), ("jaw", 1),
)  # fmt: skip
COFW_PARTS = {
    "right_brow": (0, 2, 4, 5), "left_brow": (1, 3, 6, 7), "right_eye": (8, 10, 12, 13, 16),
    "left_eye": (9, 11, 14, 15, 17), "nose": (18, 19, 20, 21), "mouth": (22, 23, 24, 25, 26, 27), "jaw": (28,),
}  # fmt: skip
HANDS = (("left_hand", 21), ("right_hand", 21))


def runs(*lengths: tuple[str, int]) -> list[str]:
    return [part for part, count in lengths for _ in range(count)]


def scattered(parts: dict[str, tuple[int, ...]]) -> list[str]:
    found = {i: part for part, points in parts.items() for i in points}
    return [found[i] for i in range(len(found))]


PARTS: dict[str, list[str]] = {
    "300w": runs(*FACE_68),
    "aflw": runs(*FACE_19),
    "coco_wholebody": runs(("body", 17), ("foot", 6), ("face", 68), *HANDS),
    "coco_wholebody_face": runs(*FACE_68),
    "coco_wholebody_hand": runs(("hand", 21)),
    "cofw": scattered(COFW_PARTS),
    "deepfashion_full": runs(("clothes", 8)),
    "deepfashion_lower": runs(("clothes", 4)),
    "deepfashion_upper": runs(("clothes", 6)),
    "freihand2d": runs(("hand", 21)),
    "halpe": runs(("body", 20), ("foot", 6), ("face", 68), *HANDS),
    "halpe26": runs(("body", 20), ("foot", 6)),
    "onehand10k": runs(("hand", 21)),
    "wflw": [*runs(*FACE_98), "right_eye", "left_eye"],
}

# Points on the subject's right, where no name tells: faces looked at from the front are numbered from the image's left.
RIGHT_68 = {*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67}
RIGHT_98 = {*range(16), *range(33, 42), 55, 56, *range(60, 68), 76, 77, 78, 86, 87, 88, 89, 95, 96}
RIGHT: dict[str, set[int]] = {
    "300w": RIGHT_68,
    "aflw": {0, 1, 2, 6, 7, 8, 12, 15},
    "coco_wholebody": {i + 23 for i in RIGHT_68},
    "coco_wholebody_face": RIGHT_68,
    "cofw": {0, 2, 4, 5, 8, 10, 12, 13, 16, 18, 22},
    "halpe": {i + 26 for i in RIGHT_68},
    "wflw": RIGHT_98,
}
# A mirrored hand is a hand with the same points: they have no partners, and that is known.
MIRRORED_AS_THEY_ARE = ("coco_wholebody_hand", "freihand2d", "onehand10k")
SIDES_NOTE = "Names do not tell sides, so they are stated: of {what} seen in front, the image's left is the right."
# In an open coat the inner edge of the right half is numbered after the left half.
LATE_RIGHT_OF_COATS = {"sso_kpt30", "sso_kpt31", "lso_kpt38", "lso_kpt39"}

LEFT_COLOR, RIGHT_COLOR, MIDDLE_COLOR = "#00ff00", "#ff8000", "#3399ff"
_HEAD = ("eye", "ear", "nose")
COLOR_NOTES = {
    "crowdpose": "Point colours corrected: the source copied COCO's by position, which gave both sides mixed colours.",
    "jhmdb": "Point colours corrected: the source copied COCO's by position, which gave both sides mixed colours.",
    "ap10k": "Point colours of the legs corrected: the source copied COCO's by position, which mixed the sides.",
    "coco_wholebody": "Colour of the left toes and heel corrected to that of the left side, as their limbs have it.",
    "halpe": "Colours of left toes and heel, head, neck and hip corrected; the source gave them the right side's.",
    "halpe26": "Colours of left toes and heel, head, neck and hip corrected; the source gave them the right side's.",
}

_FACE_IDS = "The source writes a wrong inner id ({what}); a point's place in the list is its id."
_SIGMAS_FROM = "The source gives no sigmas; those of the COCO-WholeBody {what}, the same points in the same order, do."
_NO_SIGMAS = "The source gives no sigmas; the default of 0.05 stands in, so OKS is comparable only within this program."
_FLD = "In front views of the dataset, left is the left of the picture, that is the wearer's right; names are kept."
NOTES: dict[str, list[str]] = {
    "300w": [_SIGMAS_FROM.format(what="face")],
    "aflw": [_NO_SIGMAS],
    "animalpose": [
        "L_EarBase has sigma 0.026, R_EarBase 0.035: COCO's list shifted by one. Kept: published scores use it.",
    ],
    "ap10k": ["R_F_Paw stood in the lower half while L_F_Paw stood in the upper; both are upper now."],
    "coco_wholebody_face": [_FACE_IDS.format(what="52 for face-51")],
    "cofw": [_NO_SIGMAS],
    "deepfashion2": [
        "The source's flip map is no involution: vest_kpt9 takes vest_kpt13, but vest_kpt13 takes itself.",
        "By the outline of the vest, and as in the sling, the two are partners; upstream_flip keeps the source's row.",
        "Each garment uses its own range of the points, see subsets; published networks still have all 294 channels.",
        _NO_SIGMAS,
    ],
    "deepfashion_full": [_FACE_IDS.format(what="0 to 3 for points 4 to 7"), _FLD, _NO_SIGMAS],
    "deepfashion_lower": [_FLD, _NO_SIGMAS],
    "deepfashion_upper": [_FLD, _NO_SIGMAS],
    "freihand2d": [_SIGMAS_FROM.format(what="hand"), "The source calls itself freihand."],
    "humanart": ["The source calls itself Human-Art."],
    "onehand10k": [_SIGMAS_FROM.format(what="hand")],
    "wflw": [_NO_SIGMAS],
}
SIGMAS_FROM = {
    "300w": "coco_wholebody_face", "freihand2d": "coco_wholebody_hand", "onehand10k": "coco_wholebody_hand",
}  # fmt: skip
SWAP_CORRECTIONS = {"deepfashion2": {"vest_kpt13": "vest_kpt9"}}
GROUP_CORRECTIONS = {"ap10k": {"R_F_Paw": "upper"}}


def make_schema(facts: dict[str, Any], stem: str, sigmas: list[float]) -> dict[str, Any]:
    """One schema as plain data in the order of its file."""
    title, category = TITLES[stem]
    subsets = [{"name": c["name"], "start": c["start"], "stop": c["stop"]} for c in facts.get("categories", [])]
    parts = PARTS.get(stem) or runs(*((s["name"], s["stop"] - s["start"]) for s in subsets))
    sides = stated_sides(facts, stem, bool(subsets))
    points = []
    for i, fact in enumerate(facts["keypoints"]):
        name = fact["name"]
        points.append(
            {
                "name": name,
                "swap": SWAP_CORRECTIONS.get(stem, {}).get(name, fact["swap"]),
                "side": sides.get(i, ""),
                "color": point_color(stem, name, i, fact["color"]),
                "sigma": sigmas[i] if sigmas else None,
                "part": parts[i] if parts else "",
                "group": GROUP_CORRECTIONS.get(stem, {}).get(name, fact["type"]),
            }
        )
    notes = [COLOR_NOTES[stem]] if stem in COLOR_NOTES else []
    if sides and stem not in MIRRORED_AS_THEY_ARE:
        notes.append(SIDES_NOTE.format(what="a garment" if subsets else "a face"))
    return {
        "name": stem,
        "title": title,
        "category": category,
        "source": source(facts),
        "notes": notes + NOTES.get(stem, []),
        "keypoints": points,
        "limbs": [{"from": a, "to": b, "color": hex_color(color)} for a, b, color in facts["skeleton"]],
        "subsets": subsets,
        "upstream_flip": upstream_flip(facts, points),
    }


def stated_sides(facts: dict[str, Any], stem: str, garments: bool) -> dict[int, str]:
    flip, names = facts["flip_indices"], [p["name"] for p in facts["keypoints"]]
    if stem in MIRRORED_AS_THEY_ARE:
        return dict.fromkeys(range(len(names)), "middle")
    if garments:
        index = {name: i for i, name in enumerate(names)}
        pairs = {(i, j) for i, j in enumerate(flip) if i < j}
        right = {i for i, j in pairs if names[j] not in LATE_RIGHT_OF_COATS} | {index[n] for n in LATE_RIGHT_OF_COATS}
    else:
        right = RIGHT.get(stem, set())
    return dict.fromkeys(right, "right") | {flip[i]: "left" for i in right}


def point_color(stem: str, name: str, i: int, rgb: list[int]) -> str:
    side = side_of(name)
    by_side = {"left": LEFT_COLOR, "right": RIGHT_COLOR, "middle": MIDDLE_COLOR}[side]
    head = any(word in name.lower() for word in _HEAD)
    foot = any(word in name for word in ("toe", "heel"))
    trunk = stem.startswith("halpe") and name in ("head", "neck", "hip")
    wrong = (stem in ("crowdpose", "jhmdb", "ap10k") and not head) or (stem in COLOR_NOTES and foot) or trunk
    return by_side if wrong else hex_color(rgb)


def upstream_flip(facts: dict[str, Any], points: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows in which the source's flip map differs from the corrected partners."""
    names = [p["name"] for p in points]
    pairs = zip(points, facts["flip_indices"], strict=True)
    return [{"name": p["name"], "takes": names[j]} for p, j in pairs if (p["swap"] or p["name"]) != names[j]]


def hex_color(rgb: Iterable[int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in rgb)


def source(facts: dict[str, Any]) -> str:
    paper = facts["paper"]
    title = paper["title"].strip().rstrip(".")
    for wrong, right in (("coco:", "COCO:"), ("Ai challenger", "AI Challenger"), ("Freihand:", "FreiHAND:")):
        title = title.replace(wrong, right)
    return f"{title} ({paper['year']}), {paper['homepage']}; after MMPose {facts['config']}"


def text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def row(data: dict[str, Any], defaults: dict[str, Any]) -> str:
    """One inline table, defaults left out."""
    kept = {k: v for k, v in data.items() if v is not None and v != "" and defaults.get(k) != v}
    cells = (f"{key} = {text(value) if isinstance(value, str) else repr(value)}" for key, value in kept.items())
    return "  {" + ", ".join(cells) + "},"


def to_toml(schema: dict[str, Any]) -> str:
    lines = [f"{key} = {text(schema[key])}" for key in ("name", "title", "category", "source")]
    if schema["notes"]:
        lines += ["notes = [", *(f"  {text(note)}," for note in schema["notes"]), "]"]
    defaults = {"part": DEFAULT_PART, "sigma": DEFAULT_SIGMA}
    for key in ("keypoints", "limbs", "subsets", "upstream_flip"):
        if schema[key]:
            lines += ["", f"{key} = [", *(row(item, defaults) for item in schema[key]), "]"]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    if not 1 <= len(arguments) <= 2:
        sys.stderr.write(f"{(__doc__ or '').strip()}\n")
        return 2
    default = Path(__file__).resolve().parent.parent / "resources" / "schemas"
    folder, out = Path(arguments[0]), Path(arguments[1]) if len(arguments) == 2 else default
    facts = {stem: json.loads((folder / f"{stem}.json").read_text(encoding="utf-8")) for stem in TITLES}
    out.mkdir(parents=True, exist_ok=True)
    for stem, fact in facts.items():
        sigmas = facts[SIGMAS_FROM.get(stem, stem)]["sigmas"]
        path = out / f"{stem}.toml"
        path.write_text(to_toml(make_schema(fact, stem, sigmas)), encoding="utf-8", newline="\n")
        schema = load_schema(path)
        sys.stdout.write(f"{stem:22s} {schema.num_keypoints:4d} points {len(schema.limbs):4d} limbs  {schema.title}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
