"""EfficientDet-Lite0 against stored outputs of the published graph, its anchors, and new classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.checkpoint import load_network
from engine.networks.efficientdet import COCO_ANIMALS, EfficientDet, decode_boxes, encode_boxes, make_anchors

TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def pretrained() -> EfficientDet:
    network, _ = load_network("efficientdet_lite0")
    assert isinstance(network, EfficientDet)
    return network


def test_scores_and_boxes_equal_those_of_the_published_graph(pretrained: EfficientDet, shared: Path) -> None:
    reference = np.load(shared / "models" / "efficientdet_lite0.reference.npz")
    images = torch.from_numpy(reference["letterbox_rgb_uint8"]).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        boxes, logits = pretrained((images - 127) / 128)
    scores = reference["person_score"][..., 0]
    np.testing.assert_allclose(logits[..., 0].sigmoid().numpy(), scores, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(boxes.numpy(), reference["boxes_tyxhw"], atol=TOLERANCE, rtol=0)


def test_anchors_follow_the_published_layout() -> None:
    anchors = make_anchors(320)
    assert anchors.shape == (19206, 4)
    # First cell, first octave: aspects 1, 2 and 1/2 of base 24, then the next octave.
    root = 2**0.5
    expected = [[4, 4, 24, 24], [4, 4, 24 / root, 24 * root], [4, 4, 24 * root, 24 / root]]
    torch.testing.assert_close(anchors[:3], torch.tensor(expected))
    assert anchors[3, 2].item() == pytest.approx(24 * 2 ** (1 / 3))
    assert anchors[9, :2].tolist() == [4, 12]  # the next cell lies to the right
    assert anchors[-1, :2].tolist() == [320, 320]  # 3 x 3 cells of 128


@pytest.mark.parametrize("size", [(320, 320), (256, 192), (200, 333)])
def test_there_is_one_anchor_for_each_output_row(size: tuple[int, int]) -> None:
    width, height = size
    with torch.inference_mode():
        boxes, logits = EfficientDet(2).eval()(torch.zeros(1, 3, height, width))
    assert boxes.shape == (1, len(make_anchors(size)), 4)
    assert logits.shape == (1, len(make_anchors(size)), 2)


def test_encoding_is_the_inverse_of_decoding() -> None:
    anchors = make_anchors(64)
    raw = torch.randn(len(anchors), 4, generator=torch.Generator().manual_seed(1))
    boxes = decode_boxes(raw, anchors)
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    torch.testing.assert_close(encode_boxes(boxes, anchors), raw, atol=1e-4, rtol=1e-4)


def test_a_zero_output_is_the_anchor_itself_as_x1_y1_x2_y2() -> None:
    box = decode_boxes(torch.zeros(1, 4), torch.tensor([[10.0, 20.0, 4.0, 8.0]]))
    assert box.tolist() == [[16, 8, 24, 12]]


def test_wild_outputs_do_not_overflow() -> None:
    assert decode_boxes(torch.full((9, 4), 1e4), make_anchors(8)[:9]).isfinite().all()


def _copy(network: EfficientDet) -> EfficientDet:
    copy = EfficientDet(network.num_classes)
    copy.load_state_dict(network.state_dict())
    return copy.eval()


def test_new_classes_keep_everything_but_the_class_output(pretrained: EfficientDet) -> None:
    network = _copy(pretrained)
    x = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        boxes, old = pretrained(x)
        network.replace_classes(2, start=[[0], COCO_ANIMALS])
        new_boxes, new = network(x)
    torch.testing.assert_close(new_boxes, boxes)
    assert new.shape[-1] == 2
    torch.testing.assert_close(new[..., 0], old[..., 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(new[..., 1], old[..., list(COCO_ANIMALS)].mean(-1), atol=1e-4, rtol=1e-4)
    for name, tensor in pretrained.state_dict().items():
        if not name.startswith("class_head.output.pointwise."):
            assert torch.equal(network.state_dict()[name], tensor), name


def test_without_a_start_a_class_believes_in_one_percent(pretrained: EfficientDet) -> None:
    network = _copy(pretrained)
    network.replace_classes(1, start=[[]])
    bias = network.class_head.output.pointwise.bias
    assert bias is not None
    assert torch.sigmoid(bias).detach().numpy() == pytest.approx(0.01)


def test_a_network_with_new_classes_is_built_from_its_number_of_classes(pretrained: EfficientDet) -> None:
    network = _copy(pretrained)
    network.replace_classes(3)
    EfficientDet(3).load_state_dict(network.state_dict(), strict=True)
    with pytest.raises(ValueError, match="start names 1 classes, not 2"):
        network.replace_classes(2, start=[[0]])


def test_every_parameter_gets_a_gradient() -> None:
    network = EfficientDet(2)
    boxes, logits = network(torch.randn(1, 3, 128, 128))
    (boxes.square().sum() + logits.square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
