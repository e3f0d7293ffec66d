"""Crops cut on the device equal those cut by OpenCV, bit for bit, for any boxes of any images."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.geometry import crop_affine, invert_affine, published_affine, warp_fixed_point
from engine.inference.gpu_crops import cut_crops, pack_images, published_affines

CPU = torch.device("cpu")


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((40, 60), (75, 31), (1, 1))]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.floats(-80, 120), st.floats(-80, 120), st.floats(1, 300), st.floats(-180, 180),
        ),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_crops_equal_those_of_opencv(rows: list[tuple[int, float, float, float, float]]) -> None:
    images = pictures()
    size = (24, 32)
    affines = np.stack([crop_affine((x, y), (side, side / 0.75), size, rotation) for _, x, y, side, rotation in rows])
    owners = [row[0] for row in rows]
    result = cut_crops(pack_images(images, CPU), owners, affines, size)
    assert result.is_contiguous(memory_format=torch.channels_last) or len(rows) == 0
    for i, (owner, affine) in enumerate(zip(owners, affines, strict=True)):
        expected = warp_fixed_point(images[owner], affine, size)
        assert np.array_equal(result[i].permute(1, 2, 0).numpy(), expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-300, 900)] * 2, *[st.floats(1, 800)] * 2), min_size=1, max_size=5),
    st.sampled_from([(192, 256), (288, 384), (256, 256)]),
    st.booleans(),
)
def test_affines_of_many_boxes_are_those_of_each(
    rows: list[tuple[float, float, float, float]], size: tuple[int, int], udp: bool
) -> None:
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in rows])
    affines, backs = published_affines(boxes, 1.25, size, udp=udp)
    for box, affine, back in zip(boxes, affines, backs, strict=True):
        center, scale, expected = published_affine(box, 1.25, size, udp=udp)
        assert np.array_equal(affine, expected)
        assert np.allclose(back, invert_affine(crop_affine(center, scale, size)), rtol=1e-12)
