"""From patches to image tokens: pixel shuffle merges neighbours, an MLP maps the result.

Shapes: N tiles, P patches of a tile, r patches merged per side, Dv width of the tower, Da width of the adapter.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..config import VisionConfig
from ..trace import record


def pixel_shuffle(patches: Tensor, shuffle: int) -> Tensor:
    """Merge every r x r square of patches into one token: fewer tokens, each wider, nothing lost.

    Shapes: [N, P, Dv] -> [N, P / r^2, r^2 * Dv]; in a token: upper left, upper right, lower left, lower right.
    Source: HF `pixel_shuffle`, with the ratio 1 / r.
    """
    side = round(patches.shape[1] ** 0.5)
    grid = patches.unflatten(1, (side // shuffle, shuffle, side // shuffle, shuffle))  # [N, rows, r, columns, r, Dv]
    return grid.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)


class AdapterMLP(nn.Module):
    """Two linear maps without bias, and a GELU after *each*.

    Shapes: [..., r^2 * Dv] -> [..., Da].
    Source: HF `Llama4VisionMLP2`.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.mlp_width, config.adapter_width, bias=False)
        self.fc2 = nn.Linear(config.adapter_width, config.adapter_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.fc2(F.gelu(self.fc1(x))))


class VisionAdapter(nn.Module):
    """Pixel shuffle, then the MLP.

    Shapes: [N, P, Dv] -> [N, P / r^2, Da].
    Source: HF `Llama4VisionPixelShuffleMLP`.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.shuffle = config.shuffle
        self.mlp = AdapterMLP(config)

    def forward(self, patches: Tensor) -> Tensor:
        shuffled = pixel_shuffle(patches, self.shuffle)
        record("shuffled", shuffled)
        return self.mlp(shuffled)
