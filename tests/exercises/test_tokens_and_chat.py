"""The checkers of lesson 01 accept what is right, however it is written, and see through every mistake."""

import codecs
import io

import pytest

from exercise_checks import assert_accepts, assert_tells_apart, exercises_of
from llama4_explained.check.mutants import MUTANTS
from llama4_explained.exercises import tokens_and_chat as lesson
from llama4_explained.exercises.exercise import Exercise
from llama4_explained.exercises.message_answers import our_message, right_message
from llama4_explained.processor import Processor
from llama4_explained.vocabulary import BYTE_SIGNS

EXERCISES = exercises_of(lesson)
PROCESSOR = Processor.from_pretrained("tiny")


def looped_signs(signs):
    text, waiting = "", b""
    for sign in signs:
        waiting += bytes([BYTE_SIGNS.index(sign)])
        try:
            text += waiting.decode()
        except UnicodeDecodeError:
            continue
        waiting = b""
    return text


def learnt_by_text(words, number):
    """Pieces as texts with dots between them: joining a pair removes its dot."""
    written = [".".join(f"{byte:02x}" for byte in word) for word in words]
    merges = []
    for _ in range(number):
        counts: dict[tuple[str, str], int] = {}
        for word in written:
            pieces = word.split(".")
            for i in range(len(pieces) - 1):
                pair = pieces[i], pieces[i + 1]
                counts[pair] = counts.get(pair, 0) + 1
        left, right = max(counts, key=counts.__getitem__)
        merges.append((bytes.fromhex(left), bytes.fromhex(right)))
        written = [f".{word}.".replace(f".{left}.{right}.", f".{left}{right}.").strip(".") for word in written]
    return merges


class Image:
    """As much of a tiled image as the chat format looks at."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns


def package_message(message):
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    made = [part["text"] if part["type"] == "text" else Image(part["rows"], part["columns"]) for part in parts]
    chat = PROCESSOR.chat_format()
    header, end = chat.header(message["role"]), chat.tokenizer.token_id("<|eot|>")
    encoded = [
        chat.tokenizer.encode(part) if isinstance(part, str) else chat.image(part.rows, part.columns) for part in made
    ]
    return [*sum(encoded, header), end]


def message_by_names(message):
    ids = PROCESSOR.tokenizer.special_ids
    patches = [ids["<|patch|>"]] * PROCESSOR.tokens_per_tile
    result = [ids["<|header_start|>"], *PROCESSOR.tokenizer.encode(message["role"]), ids["<|header_end|>"]]
    result += PROCESSOR.tokenizer.encode("\n\n")
    content = message["content"]
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        if part["type"] == "text":
            result += PROCESSOR.tokenizer.encode(part["text"])
            continue
        result.append(ids["<|image_start|>"])
        is_cut = part["rows"] * part["columns"] > 1
        for _ in range(part["rows"] * is_cut):
            for column in range(part["columns"]):
                result += [ids["<|tile_x_separator|>"], *patches] if column else patches
            result.append(ids["<|tile_y_separator|>"])
        result += [ids["<|image|>"], *patches, ids["<|image_end|>"]]
    return [*result, ids["<|eot|>"]]


def stream_by_trying(chunks):
    pieces, waiting = [], b""
    for chunk in chunks:
        waiting += chunk
        for end in range(len(waiting), -1, -1):
            try:
                pieces.append(waiting[:end].decode())
            except UnicodeDecodeError:
                continue
            waiting = waiting[end:]
            break
    return pieces


def stream_by_decoder(chunks):
    reader = codecs.getreader("utf-8")
    pieces, said = [], ""
    for i in range(len(chunks)):
        text = reader(io.BytesIO(b"".join(chunks[: i + 1]))).read(-1)
        pieces.append(text[len(said) :])
        said = text
    return pieces


def chatml_by_messages(messages):
    pieces, between = [], ""
    for message in messages:
        if between:
            pieces.append((between, False))
        pieces += [("<|im_start|>", True), (f"{message['role']}\n{message['content']}", False), ("<|im_end|>", True)]
        between = "\n"
    return [*pieces, ("\n", False), ("<|im_start|>", True), ("assistant\n", False)]


def chatml_joined(messages):
    flat = []
    for message in [*messages, {"role": "assistant", "content": None}]:
        flat += [("<|im_start|>", True), (message["role"], False), ("\n", False)]
        if message["content"] is not None:
            flat += [(message["content"], False), ("<|im_end|>", True), ("\n", False)]
    pieces = []
    for text, is_control in flat:
        if pieces and not is_control and not pieces[-1][1]:
            pieces[-1] = (pieces[-1][0] + text, False)
        else:
            pieces.append((text, is_control))
    return pieces


RIGHT = {
    "text of signs": (looped_signs, lambda signs: bytes(map(BYTE_SIGNS.index, signs)).decode()),
    "learn merges": (learnt_by_text, lesson._learn),
    "encode message": (package_message, message_by_names),
    "stream": (stream_by_trying, stream_by_decoder),
    "chatml": (chatml_by_messages, chatml_joined),
}
CHAT_MUTANTS = [
    "tile separators are missing",
    "tile separators are exchanged",
    "rows and columns of tiles are exchanged",
    "the global tile has no place in the text",
    "a tile has a place for every patch",
    "headers end in one line end",
    "typed control tokens are obeyed",
]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_written_differently(exercise):
    assert_accepts(exercise, RIGHT[exercise.name])


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_misconceptions_are_told_apart(exercise):
    assert_tells_apart(exercise)


@pytest.mark.parametrize("mutant", CHAT_MUTANTS)
def test_mutants_are_rejected(mutant):
    inputs = list(lesson.encode_message.inputs())
    expected = {str(message): lesson.encode_message.right(message) for (message,) in inputs}
    frozen = Exercise("message", "as it was", lambda message: expected[str(message)], lambda: inputs, "Look again.")
    assert frozen.check(package_message).is_right
    with MUTANTS[mutant].applied_to(None):
        verdict = frozen.check(package_message)
    assert not verdict.is_right and ("instead of" in verdict.text or "came" in verdict.text)


def test_merges_never_tie():
    """Where two pairs were equally frequent, there would be two right answers."""
    for words, number in lesson.learn_merges.inputs():
        cut = lesson._singles(words)
        for pair in lesson._learn(words, number):
            counts = lesson._all_pairs(cut).most_common(2)
            assert counts[0][0] == pair and (len(counts) == 1 or counts[0][1] > counts[1][1])
            cut = [lesson._joined(pieces, pair) for pieces in cut]


def test_messages_equal_hf_where_nothing_is_typed_that_hf_obeys():
    for (message,) in lesson.encode_message.inputs():
        assert our_message(message) == right_message(message) == message_by_names(message)
