"""Questions and answers as the token ids that training takes: whole conversations of one length, in the chat format.

Shapes: T tokens of a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from ..chat import ChatFormat
from ..loss import IGNORED
from ..special_tokens import END_OF_TURN, PADDING
from .languages import ALL
from .languages.language import Language
from .scenes import Draw, Scene
from .tasks import Barred, Turn, ask, look_up, read, translate

# How often each task is drawn, in so many parts. Relations are learnt last: they need to find two objects by what they
# are, which the other tasks teach first.
WEIGHTS = {
    "caption": 3, "count": 1, "count_shape": 2, "count_color": 2, "color": 2, "shape": 2, "existence": 3,
    "relation": 13,
}  # fmt: skip
LATER_WEIGHTS = WEIGHTS | {"relation": 70}


class DialogueEncoder:
    """Turns to token ids and labels, exactly as `Processor` encodes the same messages."""

    def __init__(self, chat: ChatFormat, length: int) -> None:
        self.chat, self.length = chat, length
        self._encode = cache(chat.tokenizer.encode)
        self._user, self._assistant = chat.header("user"), chat.header("assistant")
        self._begin = chat.conversation([], add_generation_prompt=False)
        self._end = chat.tokenizer.token_id(END_OF_TURN)
        self._pad = chat.tokenizer.token_id(PADDING)

    def encode(self, turns: Sequence[Turn], scene: Scene | None = None) -> tuple[list[int], list[int], list[Turn]]:
        """Turns while they fit, the picture before the first question, then padding.

        A turn about a picture that is too long is passed over; after a text's first turn all may ask about that.

        Returns ids and labels, T of each, and the turns that there are. Only answers, with the token that ends them,
        have labels.

        Errors: ValueError if no turn fits.
        """
        ids, labels = list(self._begin), [IGNORED] * len(self._begin)
        image = [] if scene is None else self.chat.image(scene.rows, scene.columns)
        fitting: list[Turn] = []
        for turn in turns:
            asked = [*self._user, *image, *self._encode(turn.question), self._end, *self._assistant]
            answered = [*self._encode(turn.answer), self._end]
            if len(ids) + len(asked) + len(answered) > self.length:
                if scene is None:
                    break
                continue
            ids += asked + answered
            labels += [IGNORED] * len(asked) + answered
            image = []
            fitting.append(turn)
        if not fitting:
            raise ValueError(f"none of {len(turns)} turns fits into {self.length} tokens")
        rest = self.length - len(ids)
        return ids + [self._pad] * rest, labels + [IGNORED] * rest, fitting


def picture_turns(
    scene: Scene,
    draw: Draw,
    number: int,
    tasks: Mapping[str, int] = WEIGHTS,
    languages: Sequence[Language] = ALL,
    barred: Barred = frozenset(),
) -> list[Turn]:
    """Questions about one picture, half of the time all in one language; tasks come up in the given parts,
    where the scene and what is barred allow it.

    `tasks` must have one of `ALWAYS_POSSIBLE`.
    """
    drawn = [task for task, parts in tasks.items() for _ in range(parts)]
    language, mixed = draw.choice(languages), draw.below(2) == 1
    turns: list[Turn] = []
    while len(turns) < number:
        turn = ask(draw.choice(drawn), scene, draw.choice(languages) if mixed else language, draw, barred=barred)
        if turn is not None:
            turns.append(turn)
    return turns


def text_turns(draw: Draw, most_notes: int, languages: Sequence[Language] = ALL) -> list[Turn]:
    """Turns without a picture: keys to look up among 1 to `most_notes`, or translations and descriptions to read."""
    if draw.below(2):
        return look_up(draw.choice(languages), draw, draw.between(1, most_notes), num_questions=8)
    turns = []
    for _ in range(8):
        source, target = draw.choice(languages), draw.choice(languages)
        turns.append(read(source, draw) if source is target or draw.below(2) else translate(source, target, draw))
    return turns
