"""Early fusion: image tokens take the places of the patch tokens before the first decoder layer.

From there on there is one sequence, and no layer knows which token was an image.

Shapes: B batch, T tokens, D hidden, N tiles, Da width of the vision adapter.
"""

from __future__ import annotations

from torch import Tensor, nn

from .config import Llama4Config
from .errors import UserError
from .trace import record


class Projector(nn.Module):
    """One linear map, without bias, from the vision adapter's width to the language model's.

    Shapes: [..., Da] -> [..., D].
    Source: HF `Llama4MultiModalProjector`.
    """

    def __init__(self, config: Llama4Config) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(config.vision.adapter_width, config.text.hidden_size, bias=False)

    def forward(self, image_tokens: Tensor) -> Tensor:
        projected = self.linear_1(image_tokens)
        record("projected", projected)
        return projected


def fuse(embeddings: Tensor, is_patch: Tensor, image_tokens: Tensor) -> Tensor:
    """Replace the embeddings of patch tokens by image tokens, in order.

    Shapes: embeddings [B, T, D], is_patch bool [B, T], image_tokens [N, tokens per tile, D] -> [B, T, D].
    Errors: UserError if there are not as many image tokens as places for them.
    Source: HF `Llama4ForConditionalGeneration.forward` (`masked_scatter`).
    """
    flat = image_tokens.flatten(0, -2).to(embeddings.dtype)
    places = int(is_patch.sum())
    if places != len(flat):
        raise UserError(
            f"the text has {places} patch tokens, the images make {len(flat)} "
            f"({len(image_tokens)} tiles of {image_tokens.shape[1]}): use the processor's input_ids with its "
            "pixel_values"
        )
    return embeddings.masked_scatter(is_patch[..., None], flat)
