import pytest
import torch

from engine.train.losses import box_loss, focal_loss


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[[0.0], [0.0], [0.0]]])
    target = torch.tensor([[[1.0], [0.0], [0.0]]])
    counted = torch.tensor([[True, True, False]])
    half = 0.5**1.5 * float(torch.log(torch.tensor(2.0)))
    assert float(focal_loss(logits, target, counted)) == pytest.approx(0.25 * half + 0.75 * half)


def test_boxes_count_only_where_there_is_an_object() -> None:
    codes = torch.zeros(1, 2, 4)
    expected = torch.ones(1, 2, 4)
    assert float(box_loss(codes, expected, torch.tensor([[False, False]]))) == 0
    assert float(box_loss(codes, expected, torch.tensor([[True, False]]))) == pytest.approx(0.1 * (1 - 0.05))


def test_objects_have_the_weight_alpha_and_background_the_rest() -> None:
    logits = torch.zeros(1, 1, 1)
    counted = torch.tensor([[True]])
    half = 0.5**1.5 * float(torch.log(torch.tensor(2.0)))
    assert float(focal_loss(logits, torch.ones(1, 1, 1), counted)) == pytest.approx(0.25 * half)
    assert float(focal_loss(logits, torch.zeros(1, 1, 1), counted)) == pytest.approx(0.75 * half)
