"""The whole vision tower: patches, class token, positions, encoder, pixel shuffle, adapter.

Shapes: N tiles, C colour channels, P patches of a tile, Dv width of the tower, Da width of the adapter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import VisionConfig
from ..errors import UserError
from ..trace import record
from .adapter import VisionAdapter
from .encoder import VisionEncoder, patch_rotation
from .patches import PatchEmbedding


class VisionModel(nn.Module):
    """Tiles in, image tokens out. Tiles do not see each other here; the language model brings them together.

    Source: HF `Llama4VisionModel`.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = PatchEmbedding(config.num_channels, config.patch_size, config.hidden_size)
        self.class_embedding = nn.Parameter(torch.zeros(config.hidden_size))
        self.positional_embedding_vlm = nn.Parameter(torch.zeros(config.num_patches + 1, config.hidden_size))
        self.layernorm_pre = nn.LayerNorm(config.hidden_size)
        self.model = VisionEncoder(config)
        self.layernorm_post = nn.LayerNorm(config.hidden_size)
        self.vision_adapter = VisionAdapter(config)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """pixel_values [N, C, size, size] in [-1, 1] -> image tokens [N, tokens per tile, Da].

        Errors: UserError if the tiles are not of the config's size.
        """
        expected = [self.config.num_channels, self.config.image_size, self.config.image_size]
        if list(pixel_values.shape[1:]) != expected:
            raise UserError(f"pixel_values is {list(pixel_values.shape)}; expected [tiles, {str(expected)[1:]}")
        x = self.patch_embedding(pixel_values.to(self.class_embedding.dtype))  # [N, P, Dv]
        record("patches", x)
        x = torch.cat([x, self.class_embedding.expand(len(x), 1, -1)], dim=1)  # [N, P + 1, Dv]
        x = self.layernorm_pre(x + self.positional_embedding_vlm)
        head_dim = self.config.hidden_size // self.config.num_heads
        rotation = patch_rotation(self.config.patches_per_side, head_dim, self.config.rope_theta, x.device)
        x = self.layernorm_post(self.model(x, rotation))
        record("encoded", x)
        x = self.vision_adapter(x[:, :-1])  # the class token has done its work
        record("image_tokens", x)
        return x
