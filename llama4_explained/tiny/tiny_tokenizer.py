"""The tiny model's own tokenizer: a byte-level BPE learnt from its thirteen languages, with Llama 4's control tokens.

Words are cut as Llama 4 cuts them, which keeps a letter and its combining marks together. (GPT-2's rule does not: it
cuts Hindi and Thai inside a syllable, so that hardly a merge can be learnt there.)
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from .. import special_tokens as special
from ..messages import ROLES
from ..presets import TINY
from ..tokenizer import Tokenizer
from ..vocabulary import JsonVocabulary, add_control_tokens_, cut_words_

NUM_SPECIAL = 64
# What stands around every message becomes one token each, as it is in Llama 4's vocabulary.
FRAME = (*dict.fromkeys(ROLES.values()), "\n\n")
OFTEN = 1000
# In the order of their ids, which start at 1984; those that the config names come first.
NAMED = (
    special.BEGIN_OF_TEXT, special.END_OF_TEXT, special.END_OF_MESSAGE, special.END_OF_TURN, special.PADDING,
    special.IMAGE_START, special.IMAGE_END, special.PATCH, special.IMAGE, special.TILE_X_SEPARATOR,
    special.TILE_Y_SEPARATOR, special.HEADER_START, special.HEADER_END, special.PYTHON_START, special.PYTHON_END,
)  # fmt: skip


def learn_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn the merges that shorten `texts` most, and add the control tokens.

    Errors: ValueError if the texts are too few to fill the vocabulary.
    """
    num_pieces = TINY.text.vocab_size - NUM_SPECIAL
    learning = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    cut_words_(learning)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=num_pieces, initial_alphabet=alphabet, show_progress=False)
    learning.train_from_iterator(chain(texts, *repeat(FRAME, OFTEN)), trainer)
    if learning.get_vocab_size() != num_pieces:
        raise ValueError(f"the texts give {learning.get_vocab_size()} pieces, {num_pieces} are needed: take more texts")
    reserved = [f"<|reserved_special_token_{number}|>" for number in range(NUM_SPECIAL - len(NAMED))]
    add_control_tokens_(learning, (*NAMED, *reserved))
    return Tokenizer(JsonVocabulary(learning))
