"""Questions and answers as the token ids that training takes: whole conversations of one length, in the chat format.

Shapes: T tokens of a conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ..chat import ChatFormat
from ..loss import IGNORED
from ..special_tokens import END_OF_TURN, PADDING
from .languages.language import Thing
from .scenes import SEEN, Draw, Scene
from .tasks import PICTURE_TASKS, Turn, any_language, ask, look_up, translate

# How often each task is drawn, in so many parts; the hard ones more often.
WEIGHTS = {
    "caption": 3, "count": 1, "count_shape": 2, "count_color": 2, "color": 2, "shape": 2, "existence": 3, "relation": 5,
}  # fmt: skip
_DRAWN = [task for task in PICTURE_TASKS for _ in range(WEIGHTS[task])]


class DialogueEncoder:
    """Turns to token ids and labels, exactly as `Processor` encodes the same messages."""

    def __init__(self, chat: ChatFormat, length: int) -> None:
        self.chat, self.length = chat, length
        self._encode = cache(chat.tokenizer.encode)
        self._user, self._assistant = chat.header("user"), chat.header("assistant")
        self._begin = chat.conversation([], add_generation_prompt=False)
        self._end = chat.tokenizer.token_id(END_OF_TURN)
        self._pad = chat.tokenizer.token_id(PADDING)

    def encode(self, turns: Sequence[Turn], scene: Scene | None = None) -> tuple[list[int], list[int], int]:
        """As many turns as fit, the picture before the first question, then padding.

        Returns ids and labels, T of each, and how many turns there are. Only answers, with the token that ends them,
        have labels.
        """
        ids, labels = list(self._begin), [IGNORED] * len(self._begin)
        image = [] if scene is None else self.chat.image(scene.rows, scene.columns)
        fitting = 0
        for turn in turns:
            asked = [*self._user, *image, *self._encode(turn.question), self._end, *self._assistant]
            answered = [*self._encode(turn.answer), self._end]
            if len(ids) + len(asked) + len(answered) > self.length:
                break
            ids += asked + answered
            labels += [IGNORED] * len(asked) + answered
            image, fitting = [], fitting + 1
        rest = self.length - len(ids)
        return ids + [self._pad] * rest, labels + [IGNORED] * rest, fitting


def picture_turns(scene: Scene, draw: Draw, number: int, things: Sequence[Thing] = SEEN) -> list[Turn]:
    """Questions about one picture, half of the time all in one language."""
    language, mixed = any_language(draw), draw.below(2) == 1
    turns: list[Turn] = []
    while len(turns) < number:
        turn = ask(draw.choice(_DRAWN), scene, any_language(draw) if mixed else language, draw, things)
        if turn is not None:
            turns.append(turn)
    return turns


def text_turns(draw: Draw, most_notes: int) -> list[Turn]:
    """Turns without a picture: keys to look up among 1 to `most_notes`, or translations."""
    if draw.below(2):
        return look_up(any_language(draw), draw, draw.between(1, most_notes), num_questions=8)
    turns = []
    for _ in range(8):
        source, target = any_language(draw), any_language(draw)
        if source is not target:
            turns.append(translate(source, target, draw))
    return turns
