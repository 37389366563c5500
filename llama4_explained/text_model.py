"""The stack of decoder layers: embeddings in, normalised hidden states out.

Shapes: B batch, T new tokens, D hidden, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor, nn

from .block import DecoderLayer
from .config import TextConfig
from .kv_cache import KVCache, place_tokens
from .norms import RMSNorm
from .rope import inverse_frequencies, rotation_angles
from .trace import record


class TextModel(nn.Module):
    """Embedding table, decoder layers and final norm, without the output head.

    Source: HF `Llama4TextModel`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_id)
        self.layers = nn.ModuleList(DecoderLayer(config, spec, i) for i, spec in enumerate(config.layer_plan))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None = None,
        cache: KVCache | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """embeddings [B, T, D] -> hidden states [B, T, D]; masks and positions as `place_tokens` takes them."""
        batch, num_tokens = embeddings.shape[:2]
        placement = place_tokens((batch, num_tokens), embeddings.device, cache, attention_mask, position_ids)
        frequencies = inverse_frequencies(
            self.config.head_dim, self.config.rope_theta, self.config.rope_scaling, embeddings.device
        )
        rotation = rotation_angles(placement.query, frequencies)
        if cache is not None:
            cache.begin(placement, batch)
        x = embeddings
        for layer in self.layers:
            x = layer(x, rotation, placement, cache)
        if cache is not None:
            cache.finish()
        x = self.norm(x)
        record("hidden_states", x)
        return x
