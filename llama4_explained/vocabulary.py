"""A tokenizer's file: the pieces of text that have an id, and how a text is cut into them.

Two formats hold the same thing. HF's `tokenizer.json` lists pieces, merges and control tokens; the library `tokenizers`
runs it. Meta's `tokenizer.model` lists the pieces in the order in which they were learnt, which implies the merges; the
library `tiktoken` runs it, as in Meta's own code.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import tiktoken
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from .errors import UserError
from .special_tokens import BEGIN_OF_TEXT, SPECIAL_TOKENS

# How a text is cut into words before any merge, known as o200k. In order of preference: a word that may begin with
# capitals (one leading space or sign, and endings such as 's belong to it), a word in capitals, up to three digits,
# signs with the line ends after them, line ends, spaces at the end or before one last space, other white space.
_CASED_END = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
WORD_PATTERN = "|".join([
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CASED_END}",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CASED_END}",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])  # fmt: skip


class Vocabulary(Protocol):
    """What `Tokenizer` needs of a tokenizer's file."""

    @property
    def size(self) -> int:
        """V: one more than the largest id."""
        ...

    @property
    def special_ids(self) -> Mapping[str, int]:
        """Control tokens: name -> id."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text without lone surrogates, none of them a control token."""
        ...

    def bytes_of(self, token: int) -> bytes | None:
        """What a token spells; None if there is no such token."""
        ...

    def to_json(self) -> str:
        """The text of a `tokenizer.json`."""
        ...


class RanksVocabulary:
    """Meta's `tokenizer.model`: one line per piece, its bytes in base64 and its rank, which is its id.

    Source: Meta `llama4/tokenizer.py`.
    """

    def __init__(self, ranks: dict[bytes, int]) -> None:
        self.special_ids = {name: len(ranks) + index for index, name in enumerate(SPECIAL_TOKENS)}
        self.size = len(ranks) + len(SPECIAL_TOKENS)
        self._ranks = ranks
        self._spelled = {rank: piece for piece, rank in ranks.items()}
        self._encoding = tiktoken.Encoding(
            "llama4", pat_str=WORD_PATTERN, mergeable_ranks=ranks, special_tokens=self.special_ids
        )

    @classmethod
    def read(cls, path: Path) -> RanksVocabulary:
        """Read a `tokenizer.model`.

        Errors: UserError if it is in another format (SentencePiece's, say), or damaged.
        """
        try:
            lines = [line.split() for line in path.read_bytes().splitlines() if line.strip()]
            ranks = {base64.b64decode(piece, validate=True): int(rank) for piece, rank in lines}
        except (ValueError, binascii.Error) as error:
            raise UserError(f"{path} is not Llama 4's: a line is not a piece in base64 and its rank") from error
        if sorted(ranks.values()) != list(range(len(lines))) or any(bytes([byte]) not in ranks for byte in range(256)):
            raise UserError(f"{path} is incomplete: ranks must count 0, 1, 2, ... and every byte must have one")
        return cls(ranks)

    def encode(self, text: str) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def bytes_of(self, token: int) -> bytes | None:
        return self._spelled.get(token)

    def to_json(self) -> str:
        def written(piece: bytes) -> str:
            return "".join(BYTE_SIGNS[byte] for byte in piece)

        # Joining two pieces is a merge if the result is a piece. Earlier results go first; equal ones are the ways to
        # make the same piece, of which the earlier parts go first.
        merges = [
            (rank, self._ranks[piece[:cut]], self._ranks[piece[cut:]], piece, cut)
            for piece, rank in self._ranks.items()
            for cut in range(1, len(piece))
            if piece[:cut] in self._ranks and piece[cut:] in self._ranks
        ]
        tokenizer = tokenizers.Tokenizer(models.BPE(
            vocab={written(piece): rank for piece, rank in self._ranks.items()},
            merges=[(written(piece[:cut]), written(piece[cut:])) for *_, piece, cut in sorted(merges)],
            ignore_merges=True,
        ))  # fmt: skip
        cut_words_(tokenizer)
        add_control_tokens_(tokenizer, SPECIAL_TOKENS)
        return tokenizer.to_str(pretty=True)


class JsonVocabulary:
    """HF's `tokenizer.json`. Its added tokens that are marked special are the control tokens.

    Source: HF `PreTrainedTokenizerFast` with `split_special_tokens=True`.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        tokenizer.encode_special_tokens = True  # as text, where a text spells them
        tokenizer.no_padding()
        tokenizer.no_truncation()
        added = tokenizer.get_added_tokens_decoder()
        self.special_ids = {token.content: token_id for token_id, token in added.items() if token.special}
        self.size = max(tokenizer.get_vocab().values()) + 1
        self._added_words = {token_id: token.content.encode() for token_id, token in added.items() if not token.special}
        self._tokenizer = tokenizer

    @classmethod
    def read(cls, path: Path) -> JsonVocabulary:
        """Read a `tokenizer.json`.

        Errors: UserError if it is damaged, or not a byte-level BPE.
        """
        try:
            tokenizer = tokenizers.Tokenizer.from_buffer(path.read_bytes())
        except ValueError as error:
            raise UserError(f"{path} is damaged, or no tokenizer: {' '.join(str(error).split())[:200]}") from error
        is_bpe = isinstance(tokenizer.model, models.BPE)
        if not is_bpe or any(tokenizer.token_to_id(sign) is None for sign in BYTE_SIGNS):
            raise UserError(f"{path} is not Llama 4's: it is no byte-level BPE")
        return cls(tokenizer)

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def bytes_of(self, token: int) -> bytes | None:
        if token in self._added_words:
            return self._added_words[token]
        signs = self._tokenizer.id_to_token(token)
        return None if signs is None else bytes(BYTE_OF_SIGN[sign] for sign in signs)

    def to_json(self) -> str:
        return self._tokenizer.to_str(pretty=True)


def cut_words_(tokenizer: tokenizers.Tokenizer) -> None:
    """Have a text cut into words as Llama 4 does it, each word written in signs for bytes, and joined again."""
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(WORD_PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()


def add_control_tokens_(tokenizer: tokenizers.Tokenizer, names: Sequence[str]) -> None:
    """Give control tokens the ids after those of all pieces, in order."""
    tokenizer.add_special_tokens([tokenizers.AddedToken(name, normalized=False, special=True) for name in names])
    # HF's `tokenizer(text)` opens a text with this token, as Llama 4's published files do.
    begin = tokenizer.token_to_id(BEGIN_OF_TEXT)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN_OF_TEXT} $A", special_tokens=[(BEGIN_OF_TEXT, begin)]
    )


def _byte_signs() -> list[str]:
    """The visible sign that stands for each byte in a `tokenizer.json`.

    Printable bytes of Latin-1 stand for themselves, the other 68 for U+0100, U+0101, ... in order.
    Source: GPT-2's byte-level BPE.
    """
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte if byte in visible else 256 + hidden.index(byte)) for byte in range(256)]


BYTE_SIGNS = _byte_signs()
BYTE_OF_SIGN = {sign: byte for byte, sign in enumerate(BYTE_SIGNS)}
