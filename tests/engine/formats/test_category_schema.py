"""Categories find their schema: by name in any spelling and order, by number of points where there are no names."""

from __future__ import annotations

import pytest

from engine.formats.category_schema import KeypointCounts, schema_of
from engine.schema.builtin import builtin_schemas, find_schema


@pytest.mark.parametrize("name", builtin_schemas())
def test_names_of_a_builtin_schema_bring_its_limbs_and_sigmas(name: str) -> None:
    own = find_schema(name)
    result = schema_of(own.category, list(own.names), [], KeypointCounts())
    assert result is not None
    assert result.names == own.names
    assert result.num_keypoints == own.num_keypoints
    assert len(result.limbs) > 0 or not own.limbs


def test_other_spellings_keep_their_names() -> None:
    names = [n.replace("_", " ").title() for n in find_schema("coco").names]
    result = schema_of("human", names, [], KeypointCounts())
    assert result is not None
    assert result.names == tuple(names)
    assert result.category == "human"
    assert result.sigmas.tolist() == find_schema("coco").sigmas.tolist()
    assert result.flip_indices.tolist() == find_schema("coco").flip_indices.tolist()


def test_another_order_is_followed_by_name() -> None:
    coco = find_schema("coco")
    names = list(reversed(coco.names))
    result = schema_of("person", names, [(0, 1)], KeypointCounts((17,)))
    assert result is not None
    assert result.names == tuple(names)
    assert result.sigmas.tolist() == coco.sigmas.tolist()[::-1]
    limbs = {frozenset((result.names[a], result.names[b])) for a, b in result.limb_indices}
    assert limbs == {frozenset((coco.names[a], coco.names[b])) for a, b in coco.limb_indices}


@pytest.mark.parametrize(("count", "name"), [(17, "coco"), (26, "halpe26"), (133, "coco_wholebody"), (136, "halpe")])
def test_points_without_names_go_by_their_number(count: int, name: str) -> None:
    result = schema_of("person", [], [], KeypointCounts((count,)))
    assert result is not None
    assert result.name == name
    assert schema_of("person", ["a", "b"], [], KeypointCounts((count,))) == result


def test_what_is_unknown_gets_names_of_its_own() -> None:
    result = schema_of("fly", [], [], KeypointCounts((5,)))
    assert result is not None
    assert result.names == ("point_1", "point_2", "point_3", "point_4", "point_5")
    result = schema_of("fly", ["leg", "leg", ""], [(0, 2)], KeypointCounts((3,)))
    assert result is not None
    assert result.names == ("leg", "leg_2", "point_3")
    assert result.limb_indices.tolist() == [[0, 2]]


def test_parts_are_wholebody_and_boxes_have_none() -> None:
    result = schema_of("person", list(find_schema("coco").names), [], KeypointCounts((17,), in_parts=True))
    assert result is not None
    assert result.num_keypoints == 133
    assert schema_of("car", [], [], KeypointCounts()) is None


def test_numbers_for_names_are_replaced_by_the_names_of_the_schema() -> None:
    result = schema_of("dress", [str(n) for n in range(1, 295)], [], KeypointCounts((294,)))
    assert result is not None
    assert result.names == find_schema("deepfashion2").names
