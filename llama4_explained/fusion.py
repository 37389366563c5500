"""Early fusion: image tokens take the places of the patch tokens before the first decoder layer.

From there on there is one sequence, and no layer knows which token was an image.

Shapes: B batch, T tokens, D hidden, N tiles, Da width of the vision adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    require_places(is_patch, image_tokens)
    fused = embeddings.masked_scatter(is_patch[..., None], image_tokens.to(embeddings.dtype))
    record("fusion.embeddings", fused)
    return fused


def require_places(is_patch: Tensor, image_tokens: Tensor) -> None:
    """Errors: UserError if there are not as many image tokens as places for them.

    Shapes: is_patch bool [B, T], image_tokens [N, tokens per tile, D].
    """
    places, made = int(is_patch.sum()), image_tokens.shape[0] * image_tokens.shape[1]
    if places != made:
        raise UserError(
            f"the text has {places} patch tokens, the images make {made} "
            f"({len(image_tokens)} tiles of {image_tokens.shape[1]}): use the processor's input_ids with its "
            "pixel_values"
        )


def fuse_in_segments(
    embed: Callable[[Tensor], Tensor], input_ids: Tensor, is_patch: Tensor, image_tokens: Tensor, length: int
) -> Iterator[Tensor]:
    """As `fuse`, but `length` tokens of every row after the other: a long text's embeddings never exist at once.

    Shapes: embed int64 [B, T] -> [B, T, D], input_ids int64 [B, T], is_patch bool [B, T], image_tokens
        [N, tokens per tile, D] -> several of [B, length or less, D].
    Errors: as `fuse`.
    """
    require_places(is_patch, image_tokens)
    number = (is_patch.flatten().cumsum(0) - 1).view_as(is_patch)  # of each place's image token, row after row
    for start in range(0, input_ids.shape[1], length):
        part = slice(start, start + length)
        seen = image_tokens.flatten(0, 1)[number[:, part][is_patch[:, part]]]  # [places in this part, D]
        yield fuse(embed(input_ids[:, part]), is_patch[:, part], seen[:, None])
