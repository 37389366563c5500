"""Llama 4's control tokens, in the order of their ids.

The first 200,000 ids are pieces of text. After them come 2,048 tokens that no text can spell: they mark who speaks,
where an image lies, where a turn ends. Most are names kept free for later.
"""

from __future__ import annotations

BEGIN_OF_TEXT = "<|begin_of_text|>"  # 200000: opens every sequence
END_OF_TEXT = "<|end_of_text|>"  # 200001: how a base model stops
HEADER_START = "<|header_start|>"  # 200005: the speaker's role follows
HEADER_END = "<|header_end|>"
END_OF_MESSAGE = "<|eom|>"  # 200007: the turn goes on, a tool or the model speaks next
END_OF_TURN = "<|eot|>"  # 200008: the speaker is done
PYTHON_START = "<|python_start|>"
PYTHON_END = "<|python_end|>"
PADDING = "<|finetune_right_pad|>"  # 200018
IMAGE_START = "<|image_start|>"  # 200080
IMAGE_END = "<|image_end|>"
TILE_X_SEPARATOR = "<|tile_x_separator|>"  # between two tiles of one row
TILE_Y_SEPARATOR = "<|tile_y_separator|>"  # after each row of tiles
IMAGE = "<|image|>"  # 200090: the tile that shows the whole image follows
PATCH = "<|patch|>"  # 200092: one image token; its embedding is replaced

NUM_SPECIAL_TOKENS = 2048


def _reserved(group: str, numbers: range) -> list[str]:
    return [f"<|{group}reserved_special_token_{number}|>" for number in numbers]


_TEXT = [
    *(HEADER_START, HEADER_END, END_OF_MESSAGE, END_OF_TURN, "<|step|>"),
    *_reserved("text_post_train_", range(6)),
    *(PYTHON_START, PYTHON_END, PADDING),
    *_reserved("text_post_train_", range(8, 69)),
]
_VISION = [
    *(IMAGE_START, IMAGE_END),
    *_reserved("vision_", range(2)),
    *(TILE_X_SEPARATOR, TILE_Y_SEPARATOR),
    *_reserved("vision_", range(2, 6)),
    IMAGE,
    *_reserved("vision_", range(6, 7)),
    PATCH,
    *_reserved("vision_", range(7, 1048)),
]
_REASONING = [
    *_reserved("reasoning_", range(8)),
    *("<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"),
]
_NAMED = [
    *(BEGIN_OF_TEXT, END_OF_TEXT, "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
    *_TEXT,
    *_VISION,
    *_REASONING,
]

# Source: Meta `llama4/tokenizer.py`; a `tokenizer.model` file does not hold them.
SPECIAL_TOKENS = (*_NAMED, *_reserved("", range(NUM_SPECIAL_TOKENS - len(_NAMED))))
