"""The vision tower's transformer: every patch sees every other, and knows where it lies from a rotation in x and y.

Shapes: N tiles, P patches of a tile, H heads, Dh head width, Dv width of the tower. The class token is number P.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import VisionConfig
from ..rope import inverse_frequencies, rotate_pairs
from ..trace import record


@lru_cache(maxsize=16)
def patch_rotation(
    patches_per_side: int, head_dim: int, theta: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every patch's rotation: the first half of a head's pairs turns by x, the second by y.

    Shapes: returns two float32 [1, P + 1, 1, Dh/2].
    Units:  coordinates in patches, counted from 1; the class token comes last and does not turn.
    Source: HF `Llama4VisionRotaryEmbedding`.
    """
    with torch.inference_mode(False):  # the result is cached, and training must be able to use it
        frequencies = inverse_frequencies(head_dim // 2, theta, None, device)  # [Dh/4]
        coordinate = torch.arange(1, patches_per_side + 1, dtype=torch.float32, device=device)
        y, x = torch.meshgrid(coordinate, coordinate, indexing="ij")  # patches go row by row, so x runs fastest
        angles = torch.cat([x.flatten()[:, None] * frequencies, y.flatten()[:, None] * frequencies], dim=-1)
        angles = F.pad(angles, (0, 0, 0, 1))[None, :, None]  # the class token's zeros  [1, P + 1, 1, Dh/2]
        return angles.cos(), angles.sin()


class VisionAttention(nn.Module):
    """Attention of all patches to all patches of their own tile, with biases.

    Shapes: [N, P + 1, Dv] -> [N, P + 1, Dv].
    Source: HF `Llama4VisionAttention`.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.head_dim = config.hidden_size // config.num_heads
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        heads = (-1, self.head_dim)
        query = rotate_pairs(self.q_proj(x).unflatten(-1, heads), rotation).transpose(1, 2)  # [N, H, P + 1, Dh]
        key = rotate_pairs(self.k_proj(x).unflatten(-1, heads), rotation).transpose(1, 2)
        value = self.v_proj(x).unflatten(-1, heads).transpose(1, 2)
        record("weights", lambda: (query @ key.transpose(-1, -2) * self.head_dim**-0.5).softmax(-1))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.o_proj(mixed.transpose(1, 2).flatten(-2))


class VisionFeedForward(nn.Module):
    """Two linear maps with a GELU between.

    Shapes: [..., Dv] -> [..., Dv].
    Source: HF `Llama4VisionMLP`.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class VisionLayer(nn.Module):
    """Attention, then feed-forward, each on layer-normalised input and added to what came in.

    Shapes: [N, P + 1, Dv] -> [N, P + 1, Dv].
    Source: HF `Llama4VisionEncoderLayer`; its layer norms have weight, bias and an epsilon of 1e-5.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size)
        self.self_attn = VisionAttention(config)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size)
        self.mlp = VisionFeedForward(config)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation)
        x = x + self.mlp(self.post_attention_layernorm(x))
        record("output", x)
        return x


class VisionEncoder(nn.Module):
    """The stack of vision layers.

    Source: HF `Llama4VisionEncoder`.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.num_layers))

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        for layer in self.layers:
            x = layer(x, rotation)
        return x
