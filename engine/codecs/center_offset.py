"""The codec of MoveNet: a map of person centers, a rough position of each keypoint from there, and an exact offset.

Source: Bazarevsky et al. / Votel & Li, "Next-Generation Pose Detection with MoveNet and TensorFlow.js" (2021), after
Zhou et al., "Objects as Points" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from engine.codecs.base import Outputs, register_codec
from engine.codecs.heatmap import HEATMAP, HeatmapCodec, peak_cells, peaks, take_cells

# Cells added to the distance from the regressed keypoint, so that nearby peaks are judged by their height. The
# published graph has 1.8, for crops that follow a person through a video. A detector's boxes are less exact, and the
# regression with them: on 44 COCO images, keypoint AP is .409 with 1.8, .416 with 2.2, .420 with 2.6, .422 with 4, .410
# with 8; with labelled boxes it is the same (.408, .407) for 1.8 and 2.5.
DISTANCE_FLOOR = 2.5
# Standard deviation of the weight that prefers a person in the middle of the crop, as a share of its side.
CENTER_SIGMA = 1 / 6
# Usual error of the regressed keypoints, in cells: the unit in which a person disagrees with fixed keypoints.
AGREEMENT = 3.0


@register_codec
@dataclass(frozen=True)
class CenterOffsetCodec(HeatmapCodec):
    """Decoder of ``engine.networks.movenet.MoveNet``.

    c = the cell of the likeliest person, weighted towards the middle of the crop; k = c + regression there; each
    keypoint is the cell where heatmap / (distance to k + 2.5) is largest, plus the offset that is stored at that cell.

    The network measures from the edge of the crop, whose first pixel reaches from 0 to 1: a pixel whose center is x
    lies at (x + 0.5) / stride = cell + offset. Mirroring is therefore offset -> 1 - offset at the mirrored cell.
    (Measured on real crops: the medians of offset + mirrored offset and of regression + mirrored regression are 0.95
    and 1.05.)
    """

    name: ClassVar[str] = "center_offset"
    aliases: ClassVar[tuple[str, ...]] = ("centre_offset",)
    output_names: ClassVar[tuple[str, ...]] = (HEATMAP, "offset", "regress", "center")

    def select(self, outputs: Outputs, channels: slice) -> Outputs:
        """As the base: offsets and regressions have two channels per keypoint, the center has none."""
        assert isinstance(outputs, Mapping)
        start, stop, _ = channels.indices(outputs[HEATMAP].shape[1])
        pairs = slice(2 * start, 2 * stop)
        return {
            HEATMAP: outputs[HEATMAP][:, start:stop],
            "offset": outputs["offset"][:, pairs],
            "regress": outputs["regress"][:, pairs],
            "center": outputs["center"],
        }

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        assert isinstance(outputs, Mapping)
        scores = torch.sigmoid(outputs["heatmap"].float())
        _, points, rows, columns = scores.shape
        y, x = self._axes(rows, columns, scores)
        center = self._center(outputs["center"].float(), x, y)
        expected = self._pairs(outputs["regress"], center.expand(-1, points))
        expected = expected + torch.stack([center % columns, center // columns], -1)

        dx2 = (x - expected[..., :1]) ** 2
        dy2 = (y - expected[..., 1:]) ** 2
        distance = torch.sqrt(dy2[..., :, None] + dx2[..., None, :])
        _, cells = peak_cells(scores / (distance + DISTANCE_FLOOR))

        positions = self._pairs(outputs["offset"], cells) + torch.stack([cells % columns, cells // columns], -1)
        return positions * self.stride - 0.5, take_cells(scores, cells)

    def candidates(self, outputs: Outputs, count: int) -> tuple[Tensor, Tensor]:
        assert isinstance(outputs, Mapping)
        scores = torch.sigmoid(outputs["heatmap"].float())
        heights, cells = peaks(scores, count)
        columns = scores.shape[-1]
        pairs = [self._pairs(outputs["offset"], cells[..., i]) for i in range(cells.shape[2])]
        positions = torch.stack(pairs, 2) + torch.stack([cells % columns, cells // columns], -1)
        return positions * self.stride - 0.5, heights

    def expected(self, outputs: Outputs, points: Tensor, fixed: Tensor) -> Tensor | None:
        """As the base: the regressed keypoints of the person whom they fit the fixed ones best."""
        assert isinstance(outputs, Mapping)
        regress = outputs["regress"].float().unflatten(1, (-1, 2)).flip(2)  # (B, K, 2, h, w) as x, y
        rows, columns = regress.shape[-2:]
        y, x = self._axes(rows, columns, regress)
        grid = torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns)])
        known = (points + 0.5) / self.stride
        off = (regress + grid - known[..., None, None]).norm(dim=2)  # (B, K, h, w)
        weights = fixed.float()[..., None, None]
        # Cut off, so that one keypoint that fits nobody does not point at a third person.
        penalty = (weights * (off / AGREEMENT).clamp(max=4) ** 2).sum(1) / weights.sum(1).clamp(min=1)
        logits = outputs["center"].float()
        down, right = y + 0.5 - rows / 2, x + 0.5 - columns / 2
        sigma = rows * CENTER_SIGMA
        middle = torch.exp(-(down[:, None] ** 2 + right**2) / (2 * sigma**2))
        likely = torch.sigmoid(logits) * middle * torch.exp(-penalty / 2)[:, None]
        center = peak_cells(likely)[1].expand(-1, regress.shape[1])
        cells = self._pairs(outputs["regress"], center) + torch.stack([center % columns, center // columns], -1)
        return cells * self.stride - 0.5

    def flip_back(self, outputs: Outputs, flip_indices: Tensor) -> Outputs:
        assert isinstance(outputs, Mapping)
        back = {"heatmap": outputs["heatmap"].flip(-1)[:, flip_indices], "center": outputs["center"].flip(-1)}
        for key in ("offset", "regress"):
            pairs = outputs[key].flip(-1).unflatten(1, (-1, 2))[:, flip_indices]
            back[key] = torch.stack([pairs[:, :, 0], 1 - pairs[:, :, 1]], 2).flatten(1, 2)
        return back

    def _center(self, logits: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """(B, 1, h, w) -> flat cell (B, 1)."""
        rows, columns = logits.shape[-2:]
        sigma = rows * CENTER_SIGMA
        # Measured between the middles of cells, so that a mirrored crop has the mirrored center.
        down, right = y + 0.5 - rows / 2, x + 0.5 - columns / 2
        weight = torch.exp(-(down[:, None] ** 2 + right**2) / (2 * sigma**2))
        return peak_cells(torch.sigmoid(logits) * weight)[1]

    @staticmethod
    def _pairs(maps: Tensor, cells: Tensor) -> Tensor:
        """(B, 2K, h, w) with channels y0, x0, y1, x1, ... at cells (B, K) -> (B, K, 2) as x, y."""
        pairs = maps.float().unflatten(1, (-1, 2)).flatten(3)
        index = cells[:, :, None, None].expand(-1, -1, 2, 1)
        return pairs.gather(3, index)[..., 0].flip(-1)

    @staticmethod
    def _axes(rows: int, columns: int, like: Tensor) -> tuple[Tensor, Tensor]:
        return torch.arange(rows, device=like.device).float(), torch.arange(columns, device=like.device).float()
