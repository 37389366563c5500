"""The tiny model's own tokenizer: a byte-level BPE learnt from its thirteen languages, with Llama 4's control tokens.

Words are cut as Llama 4 cuts them, which keeps a letter and its combining marks together. (GPT-2's rule does not: it
cuts Hindi and Thai inside a syllable, so that hardly a merge can be learnt there.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from .. import special_tokens as special
from ..presets import TINY
from ..tokenizer import Tokenizer
from ..vocabulary import WORD_PATTERN, JsonVocabulary

NUM_SPECIAL = 64
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
    learning.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(WORD_PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    learning.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=num_pieces, initial_alphabet=alphabet, show_progress=False)
    learning.train_from_iterator(texts, trainer)
    if learning.get_vocab_size() != num_pieces:
        raise ValueError(f"the texts give {learning.get_vocab_size()} pieces, {num_pieces} are needed: take more texts")
    reserved = [f"<|reserved_special_token_{number}|>" for number in range(NUM_SPECIAL - len(NAMED))]
    learning.add_special_tokens(
        [tokenizers.AddedToken(name, normalized=False, special=True) for name in (*NAMED, *reserved)]
    )
    begin = learning.token_to_id(special.BEGIN_OF_TEXT)
    learning.post_processor = processors.TemplateProcessing(
        single=f"{special.BEGIN_OF_TEXT} $A", special_tokens=[(special.BEGIN_OF_TEXT, begin)]
    )
    return Tokenizer(JsonVocabulary(tokenizers.Tokenizer.from_str(json.dumps(json.loads(learning.to_str())))))
