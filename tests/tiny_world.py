"""The tiny model's tokenizer, learnt from fewer sentences than the real one, and a processor with it."""

from functools import cache

from llama4_explained import TINY, Processor
from llama4_explained.tiny.accuracy import Exam, exam_of
from llama4_explained.tiny.dialogues import picture_turns, text_turns
from llama4_explained.tiny.scenes import Draw, make_scene
from llama4_explained.tiny.tiny_tokenizer import learn_tokenizer
from llama4_explained.tokenizer import Tokenizer


def sentences(first: int, last: int) -> list[str]:
    """Questions and answers of the conversations with these numbers."""
    turns = [
        turn
        for number in range(first, last)
        for turn in picture_turns(make_scene(number), Draw(number), 6) + text_turns(Draw(number), 6)
    ]
    return [text for turn in turns for text in (turn.question, turn.answer)]


@cache
def tokenizer() -> Tokenizer:
    return learn_tokenizer(sentences(0, 2000))


@cache
def processor() -> Processor:
    return Processor(tokenizer(), tile_size=TINY.vision.image_size, tokens_per_tile=TINY.vision.tokens_per_tile)


@cache
def short_exam() -> Exam:
    """Two questions of every part of the exam, but of "seen" one of every language and task, as tables need them."""
    exam = exam_of(1)
    return {part: questions[-2:] for part, questions in exam.items()} | {"seen": exam["seen"][:8] + exam["seen"][8::8]}
