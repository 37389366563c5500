"""The printed page of a tour: headings, sentences, and tensors with their distance from Hugging Face's."""

from __future__ import annotations

from textwrap import fill

import torch
from torch import Tensor

from ..check.compare import FACTORS, Result
from ..processor import Processor
from ..special_tokens import PATCH
from ..tiny.tasks import Turn

WIDTH = 100  # characters of a sentence's line
MARGIN = "   "


class Page:
    """Prints line by line, and remembers what came of the comparisons: `wrong` names the tensors that differ."""

    def __init__(self) -> None:
        self.compared, self.headings = 0, 0
        self.wrong: list[str] = []
        self._header_due = False

    def heading(self, title: str) -> None:
        """Begin a numbered chapter."""
        self.headings += 1
        self._header_due = True
        print(f"\n{self.headings}. {title}")

    def text(self, sentence: str) -> None:
        """A paragraph."""
        print(fill(sentence, WIDTH, initial_indent=MARGIN, subsequent_indent=MARGIN))

    def row(self, name: str, tensor: Tensor, meaning: str, result: Result | None = None) -> None:
        """One tensor, and how far it is from HF's; `result` None: HF has no such tensor by itself."""
        if self._header_due:
            print(f"   {'tensor':<31}{'shape':<20}{'from HF':>9}{'rounding':>10}  meaning")
            self._header_due = False
        shown = rounding = ""
        if result is not None:
            shown = "equal" if result.max_error == 0 else f"{result.max_error:.1e}"
            rounding = f"{result.floor:.1e}" if result.floor else ""
            self.compare(name, result.passed)
        print(f"   {name:<31}{list(tensor.shape)!s:<20}{shown:>9}{rounding:>10}  {meaning}")

    def answer(self, language: str, turn: Turn, written: str, as_hf: bool) -> None:
        """A question, what the model answers, whether HF's wrote the same tokens, and the right answer."""
        print(f"   {language}: {turn.question}")
        print(f"      both write   {written}" if as_hf else f"      ours writes  {written}, Hugging Face's does not")
        print(f"      right is     {turn.answer}\n")
        self.compare(f"the answer to {turn.question!r}", as_hf)

    def compare(self, name: str, is_equal: bool) -> None:
        """Count one more comparison with HF's."""
        self.compared += 1
        if not is_equal:
            self.wrong.append(name)

    def close(self, picture: str) -> int:
        """The last lines. Returns the exit code: 1 if anything differs from HF's."""
        print()
        if self.wrong:
            print(f"{len(self.wrong)} of {self.compared} tensors differ from Hugging Face's: {', '.join(self.wrong)}")
            return 1
        times = f"{FACTORS[torch.float32]:.0f} times the rounding of float32"
        print(f"All {self.compared} tensors equal Hugging Face's, within {times}.")
        print("(Column 'rounding': how far Hugging Face's own float32 is from its float64.)")
        print(f"The journey as a picture: {picture}")
        return 0


def abridged(processor: Processor, ids: list[int]) -> str:
    """Token ids as text, runs of patch tokens counted."""
    patch_id = processor.tokenizer.token_id(PATCH)
    pieces: list[str] = []
    start = 0
    while start < len(ids):
        stop = start
        while stop < len(ids) and (ids[stop] == patch_id) == (ids[start] == patch_id):
            stop += 1
        text = processor.decode(ids[start:stop]).replace("\n", "\\n")
        pieces.append(f" <|patch|> x {stop - start} " if ids[start] == patch_id else text)
        start = stop
    return "".join(pieces)
