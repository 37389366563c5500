"""One decoder layer: attention, then feed-forward, each on normalised input and added to what came in.

Shapes: B batch, T new tokens, D hidden.
"""

from __future__ import annotations

from torch import Tensor, nn

from .attention import Attention
from .config import LayerSpec, TextConfig
from .feed_forward import FeedForward
from .kv_cache import KVCache, Placement
from .moe import MixtureOfExperts
from .norms import RMSNorm
from .trace import record


class DecoderLayer(nn.Module):
    """Attention and feed-forward of the kinds that `spec` says.

    Shapes: [B, T, D] -> [B, T, D].
    Source: HF `Llama4TextDecoderLayer`.
    """

    def __init__(self, config: TextConfig, spec: LayerSpec, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, spec, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward = (
            MixtureOfExperts(config) if spec.is_moe else FeedForward(config.hidden_size, config.dense_width)
        )

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], placement: Placement, cache: KVCache | None = None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation, placement, cache)
        record("after_attention", x)
        x = x + self.feed_forward(self.post_attention_layernorm(x))
        record("output", x)
        return x
