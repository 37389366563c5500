"""What a forward pass holds besides weights and cache: an upper estimate, from the sizes alone.

Each function adds up the tensors that live together where a part of the model holds most, in the order in which the
code makes them. A number of float32 counts 4 whatever the model computes in: rotations and fp8's rounding use it.

Shapes: D hidden, F width of an expert, Dv width of the vision tower, P patches of a tile.
Units:  everything in bytes; `itemsize` is that of the type the model computes in.
"""

from __future__ import annotations

from .attention import QUERY_BLOCK
from .config import TextConfig, VisionConfig
from .number_formats import BLOCK


def text_step_bytes(
    config: TextConfig, batch: int, num_tokens: int, num_past: int, itemsize: int, rounds_inputs: bool = False
) -> int:
    """The decoder layers and the head on `num_tokens` new tokens of each row, after `num_past` earlier ones.

    Every token may choose the same expert. `rounds_inputs`: the format is fp8, whose inputs are rounded too.
    """
    widest = [_attention_bytes(config, itemsize)]
    for is_moe in {layer.is_moe for layer in config.layer_plan}:
        width = config.expert_width if is_moe else config.dense_width
        rounded = 4 * width if rounds_inputs else 0  # the widest input on its way to fp8 and back
        widest.append(rounded + (_moe_bytes(config, itemsize) if is_moe else _dense_bytes(config, itemsize)))
    # A block of queries has its mask written out where there are earlier tokens: as booleans, then as numbers.
    block = min(QUERY_BLOCK, num_tokens) if num_past else 0
    mask = block * (num_past + num_tokens) * (1 + itemsize)
    angles = 4 * config.head_dim * num_tokens
    logits = batch * config.vocab_size * (itemsize + 4 + 4)  # in the model's type; in float32, sorted and not
    return max(batch * num_tokens * max(widest) + mask + angles, logits)


def _attention_bytes(config: TextConfig, itemsize: int) -> int:
    """Per token: the layer's input, as it is and normalised; queries, keys, values; queries turning, three copies."""
    query_width, key_width = config.num_query_heads * config.head_dim, config.num_kv_heads * config.head_dim
    return itemsize * (2 * config.hidden_size + query_width + 2 * key_width) + 12 * query_width


def _dense_bytes(config: TextConfig, itemsize: int) -> int:
    """Per token: the layer's input, that plus attention, its norm; SiLU of the gate, up, and their product."""
    return itemsize * (3 * config.hidden_size + 3 * config.dense_width)


def _moe_bytes(config: TextConfig, itemsize: int) -> int:
    """Per token, in its last expert: three as in a dense layer; experts' inputs and outputs; gate, up, SiLU, product.

    After it, while outputs are added up: these a second time in one tensor, the sum, and what it starts from.
    """
    hidden, experts = config.hidden_size, config.experts_per_token
    last_expert = (3 + 2 * experts) * hidden + 4 * config.expert_width
    adding_up = (5 + 3 * experts) * hidden + 2 * config.expert_width
    order = 40 * experts  # which token goes where: five lists of int64
    return itemsize * max(last_expert, adding_up) + order


def dequantized_bytes(config: TextConfig) -> int:
    """Codes on their way back to numbers: one block of a matrix's rows, in float32 three times."""
    widest = max(
        config.vocab_size, 2 * config.expert_width, config.dense_width, config.num_query_heads * config.head_dim
    )
    return 12 * min(BLOCK, widest * config.hidden_size)


def vision_bytes(config: VisionConfig, num_tiles: int, itemsize: int) -> int:
    """The vision tower on `num_tiles` tiles at once, their pixels included."""
    width, patches = config.hidden_size, num_tiles * (config.num_patches + 1)
    pixels = num_tiles * config.num_channels * config.image_size**2 * itemsize
    cutting = pixels + itemsize * patches * width  # pixels a second time, as patches, and what these become
    # The tower's input; a layer's input, that plus attention, its norm; then the MLP's inside, or queries and keys,
    # of which one is turning.
    feed_forward = itemsize * (4 * width + 2 * config.mlp_width)
    attention = itemsize * 6 * width + 12 * width
    return pixels + max(cutting, patches * max(attention, feed_forward))
