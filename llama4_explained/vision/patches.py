"""A tile cut into patches, and each patch turned into a vector.

Shapes: N tiles, C colour channels, P patches of a tile, Dv width of the vision tower.
"""

from __future__ import annotations

from torch import Tensor, nn


def cut_into_patches(tiles: Tensor, patch_size: int) -> Tensor:
    """Cut every tile into squares, row by row, and lay each square's pixels out in one line.

    Shapes: [N, C, height, width] -> [N, P, C * patch_size^2]; within a patch: channel, then row, then column.
    Units:  patch_size in pixels (14).
    Source: HF `Llama4UnfoldConvolution` (`nn.Unfold`).
    """
    rows = tiles.unflatten(-2, (-1, patch_size)).unflatten(-1, (-1, patch_size))  # [N, C, rows, size, columns, size]
    return rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


class PatchEmbedding(nn.Module):
    """One linear map for every patch: a convolution whose stride is its size, written out.

    Shapes: [N, C, height, width] -> [N, P, Dv].
    Source: HF `Llama4UnfoldConvolution`.
    """

    def __init__(self, num_channels: int, patch_size: int, hidden_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.linear = nn.Linear(num_channels * patch_size**2, hidden_size, bias=False)

    def forward(self, tiles: Tensor) -> Tensor:
        return self.linear(cut_into_patches(tiles, self.patch_size))
