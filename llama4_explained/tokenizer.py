"""Text -> token ids -> text.

Llama 4's tokenizer is a byte-level BPE: a text is cut into words, and the bytes of each word are merged, the earliest
learnt merge first. Every byte is a token, so every text can be written. Control tokens stand outside: `encode` never
makes one, whatever a user types, and `special_ids` has them by name.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import vocabulary
from .atomic import written_together
from .errors import UserError
from .hub import local_file

# Meta encodes a text in pieces of at most this many characters, ...
MAX_PIECE = 400_000
# ... and cuts a run of characters that are all white space, or all not, after this many.
MAX_RUN = 25_000

FILE_NAMES = ("tokenizer.json", "tokenizer.model")


class Tokenizer:
    """Turns text into token ids and back.

    Source: Meta `llama4/tokenizer.py`; equal to it on every text.
    Differs: HF's tokenizer turns typed control tokens such as `<|eot|>` into real ones (unless told
        `split_special_tokens=True`), does not cut long runs, and refuses lone surrogates, which become U+FFFD here.
    """

    def __init__(self, pieces: vocabulary.Vocabulary) -> None:
        self._vocabulary = pieces
        self._special_names = {token_id: name for name, token_id in pieces.special_ids.items()}

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None) -> Tokenizer:
        """Read `tokenizer.json` (HF) or `tokenizer.model` (Meta): the file, its folder, or a hub id.

        Errors: UserError if there is neither, or the file is damaged or not a byte-level BPE.
        """
        path = Path(source)
        if not path.is_file():
            path = _find(source, revision)
        if path.suffix == ".json":
            return cls(vocabulary.JsonVocabulary.read(path))
        return cls(vocabulary.RanksVocabulary.read(path))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `tokenizer.json`, whichever file was read; HF's tokenizers read it too.

        Errors: UserError if the folder cannot be written.
        """
        with written_together(folder) as new:
            (new / "tokenizer.json").write_text(self._vocabulary.to_json(), encoding="utf-8")

    @property
    def vocab_size(self) -> int:
        """V: one more than the largest id, control tokens included."""
        return self._vocabulary.size

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The control tokens: name -> id."""
        return self._vocabulary.special_ids

    def token_id(self, name: str) -> int:
        """The id of a control token, such as `<|eot|>`.

        Errors: UserError if this tokenizer has no such control token.
        """
        if name not in self.special_ids:
            raise UserError(f"this tokenizer has no control token {name}: is it Llama 4's?")
        return self.special_ids[name]

    def encode(self, text: str) -> list[int]:
        """The ids of a text that somebody typed; never a control token, even where the text spells one."""
        if not isinstance(text, str):
            raise UserError(f"text must be a string, got {type(text).__name__}")
        return [token for piece in _pieces(text) for token in self._vocabulary.encode(_without_surrogates(piece))]

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """The text of token ids. Bytes that are no UTF-8 become U+FFFD.

        Errors: UserError for an id that is no token.
        """
        return b"".join(self._bytes_of(int(token), skip_special) for token in ids).decode("utf-8", errors="replace")

    def stream_decoder(self, skip_special: bool = True) -> StreamDecoder:
        """A decoder for tokens that arrive one at a time."""
        return StreamDecoder(self, skip_special)

    def _bytes_of(self, token: int, skip_special: bool) -> bytes:
        if name := self._special_names.get(token):
            return b"" if skip_special else name.encode()
        spelled = self._vocabulary.bytes_of(token) if token >= 0 else None
        if spelled is None:
            raise UserError(f"token id {token} is not in this vocabulary of {self.vocab_size}")
        return spelled


class StreamDecoder:
    """Text from tokens that arrive one at a time; no piece ends inside a character.

    A character of several bytes may be spread over several tokens: it appears with the last of them. All pieces joined,
    `flush()` included, are what `Tokenizer.decode` gives for all tokens at once.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The text that is complete with this token; often all of it, sometimes none."""
        return self._decoder.decode(self._tokenizer._bytes_of(int(token), self._skip_special))

    def flush(self) -> str:
        """What is left at the end: empty, or U+FFFD for a character that never became whole."""
        return self._decoder.decode(b"", final=True)


def _find(source: str | Path, revision: str | None) -> Path:
    errors = []
    for name in FILE_NAMES:
        try:
            return local_file(source, name, revision)
        except UserError as error:
            errors.append(error)
    if Path(source).is_dir():
        raise UserError(f"{source} has no tokenizer: neither {' nor '.join(FILE_NAMES)}")
    raise errors[0]


def _pieces(text: str) -> Iterator[str]:
    """A text cut where Meta cuts it."""
    for start in range(0, len(text), MAX_PIECE):
        piece = text[start : start + MAX_PIECE]
        cut = 0
        if len(piece) > MAX_RUN:
            for run in re.finditer(r"\s+|\S+", piece):
                for end in range(run.start() + MAX_RUN, run.end(), MAX_RUN):
                    yield piece[cut:end]
                    cut = end
        yield piece[cut:]


def _without_surrogates(text: str) -> str:
    """Halves of UTF-16 pairs joined where two meet, U+FFFD where one stands alone: UTF-8 cannot write them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
