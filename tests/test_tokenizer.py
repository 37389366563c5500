"""The tokenizer equals Meta's on every text; where HF's differs, the difference has a test of its own."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from chat_oracle import (
    FRAGMENTS,
    META_FILE,
    hf_processor,
    meta_encode,
    meta_tokenizer,
    ours_from_json,
    ours_from_model,
    random_text,
    small_json_file,
    small_model_file,
)
from llama4_explained import special_tokens
from llama4_explained.errors import UserError
from llama4_explained.tokenizer import StreamDecoder, Tokenizer
from llama4_explained.vocabulary import WORD_PATTERN

BOTH = pytest.mark.parametrize("ours", [ours_from_model, ours_from_json], ids=["tokenizer.model", "tokenizer.json"])


@BOTH
def test_control_tokens_are_metas(ours):
    assert dict(ours().special_ids) == meta_tokenizer().special_tokens
    assert ours().vocab_size == meta_tokenizer().n_words == 202048


def test_words_are_cut_by_metas_pattern():
    assert WORD_PATTERN == meta_tokenizer().O200K_PATTERN


def test_named_ids_stand_where_the_comments_say():
    ids = ours_from_model().special_ids
    assert ids[special_tokens.BEGIN_OF_TEXT] == 200000
    assert [ids[name] for name in (special_tokens.END_OF_TEXT, "<|eom|>", "<|eot|>")] == [200001, 200007, 200008]
    assert (ids[special_tokens.PADDING], ids[special_tokens.IMAGE_START], ids["<|patch|>"]) == (200018, 200080, 200092)


def test_equals_meta_on_20000_texts():
    draw = random.Random(0)
    texts = [random_text(draw, surrogates=True) for _ in range(20_000)]
    assert sum(map(len, texts)) > 600_000
    for text in texts:
        expected = meta_encode(text)
        assert ours_from_model().encode(text) == expected
        assert ours_from_json().encode(text) == expected


@BOTH
@pytest.mark.parametrize("text", FRAGMENTS)
def test_what_is_encoded_decodes_to_itself(ours, text: str):
    assert ours().decode(ours().encode(text)) == text


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None), max_size=200))
def test_equals_meta_on_any_text(text: str):
    expected = meta_encode(text)
    assert ours_from_model().encode(text) == ours_from_json().encode(text) == expected
    assert ours_from_model().decode(expected) == ours_from_json().decode(expected) == meta_tokenizer().decode(expected)


@pytest.mark.parametrize(
    "text",
    ["", "a" * 25_000, "a" * 25_001, "ab" * 40_000, " " * 60_000, "가" * 30_000, "x" * 30_000 + " " * 30_000 + "y",
     "word " * 90_000, "\ud83d" + "a" * 24_998 + "\ud83d\ude00" * 3],
    ids=["empty", "at the limit", "one more", "letters", "spaces", "Hangul", "three runs", "over 400,000",
         "surrogates"],
)  # fmt: skip
@BOTH
def test_long_runs_are_cut_where_meta_cuts(ours, text: str):
    assert ours().encode(text) == meta_encode(text)


def test_differs_hf_does_not_cut_runs_over_25000_characters():
    text = "understanding" * 2_000  # the cut falls inside a word
    assert hf_processor().tokenizer.encode(text, add_special_tokens=False) != meta_encode(text)
    assert ours_from_json().encode(text) == meta_encode(text)


@BOTH
@pytest.mark.parametrize(
    ("text", "written"),
    [("a\ud83d", "a\ufffd"), ("\ude00b", "\ufffdb"), ("\ud83d\ude00", "😀"), ("\ude00\ud83d", "\ufffd\ufffd")],
    ids=["high alone", "low alone", "a pair", "the wrong way round"],
)
def test_lone_surrogates_become_replacement_characters(ours, text: str, written: str):
    assert ours().encode(text) == meta_encode(text)
    assert ours().decode(ours().encode(text)) == written


def test_differs_hf_refuses_lone_surrogates():
    with pytest.raises((TypeError, UnicodeEncodeError)):
        hf_processor().tokenizer.encode("a\ud83d")


@BOTH
def test_typed_control_tokens_stay_text(ours):
    control = set(ours().special_ids.values())
    for name in ours().special_ids:
        ids = ours().encode(f"say {name} now")
        assert not control & set(ids)
        assert ours().decode(ids) == f"say {name} now"


def test_differs_hf_obeys_typed_control_tokens_unless_told():
    hf = hf_processor().tokenizer
    assert ours_from_json().token_id("<|eot|>") in hf.encode("say <|eot|>")
    split = hf.encode("say <|eot|>", add_special_tokens=False, split_special_tokens=True)
    assert split == ours_from_json().encode("say <|eot|>")


def test_differs_hf_reads_a_bare_tokenizer_model_without_control_tokens(tmp_path: Path):
    path = small_model_file(tmp_path)
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), Tokenizer.from_pretrained(path)
    assert len(theirs) == 1500 and theirs.convert_tokens_to_ids("<|eot|>") is None
    assert ours.vocab_size == 1500 + 2048 and ours.token_id("<|eot|>") == 1508


@BOTH
def test_decoding_can_leave_control_tokens_out(ours):
    ids = [200005, *ours().encode("user"), 200006, 200008]
    assert ours().decode(ids) == "<|header_start|>user<|header_end|><|eot|>"
    assert ours().decode(ids, skip_special=True) == "user"


@BOTH
def test_decoding_broken_utf8_writes_replacement_characters(ours):
    ids = ours().encode("😀 한")
    for cut in range(len(ids)):
        assert ours().decode(ids[:cut]) == meta_tokenizer().decode(ids[:cut])


@BOTH
@pytest.mark.parametrize("token", [-1, 202048, 10**9])
def test_an_id_that_is_no_token_is_refused(ours, token: int):
    with pytest.raises(UserError, match=rf"{token} is not in this vocabulary of 202048"):
        ours().decode([0, token])


@BOTH
@pytest.mark.parametrize("skip_special", [True, False])
def test_streamed_pieces_never_end_inside_a_character(ours, skip_special: bool):
    draw = random.Random(1)
    held_back = 0
    for _ in range(300):
        text = random_text(draw)
        ids = ours().encode(text)
        ids.insert(draw.randint(0, len(ids)), 200008)  # it may even come between the bytes of one character
        decoder = ours().stream_decoder(skip_special)
        pieces = [decoder.push(token) for token in ids]
        held_back += pieces.count("")
        assert "".join(pieces) + decoder.flush() == ours().decode(ids, skip_special)
        if skip_special:
            assert "".join(pieces) == text  # nothing broken on the way, nothing left for the end
    assert held_back > 300  # characters were indeed spread over tokens


def test_a_stream_that_ends_inside_a_character_says_so():
    ids = ours_from_model().encode("🏳")
    assert len(ids) > 1
    decoder = StreamDecoder(ours_from_model())
    assert decoder.push(ids[0]) == ""
    assert decoder.flush() == "\ufffd" == ours_from_model().decode(ids[:1])


@pytest.mark.parametrize("token", [-1, 202048])
def test_a_stream_refuses_an_id_that_is_no_token(token: int):
    with pytest.raises(UserError, match=f"token id {token}"):
        ours_from_model().stream_decoder().push(token)


def test_saved_tokenizer_is_read_by_us_and_by_hf(tmp_path: Path):
    ours = Tokenizer.from_pretrained(small_model_file(tmp_path))
    ours.save_pretrained(tmp_path / "saved")
    again = Tokenizer.from_pretrained(tmp_path / "saved")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.special_ids == ours.special_ids and again.vocab_size == ours.vocab_size == len(theirs)
    draw = random.Random(2)
    for text in (random_text(draw) for _ in range(500)):
        ids = ours.encode(text)
        assert again.encode(text) == ids
        assert theirs.encode(text, split_special_tokens=True) == [ours.token_id("<|begin_of_text|>"), *ids]


def test_a_small_vocabulary_has_its_own_ids(tmp_path: Path):
    ours = Tokenizer.from_pretrained(small_json_file(tmp_path, pieces=900, names=("<|begin_of_text|>", "<|eot|>")))
    assert ours.vocab_size == 902
    assert dict(ours.special_ids) == {"<|begin_of_text|>": 900, "<|eot|>": 901}
    assert max(ours.encode("안녕 <|eot|> 😀")) < 900
    assert ours.decode([*ours.encode("안녕 <|eot|> 😀"), 901]) == "안녕 <|eot|> 😀<|eot|>"


def test_words_that_someone_added_are_words(tmp_path: Path):
    path = small_json_file(tmp_path, pieces=900)
    content = json.loads(path.read_text())
    content["added_tokens"].append(content["added_tokens"][0] | {"id": 1020, "content": "llama4", "special": False})
    path.write_text(json.dumps(content))
    ours = Tokenizer.from_pretrained(path)
    assert 1020 in ours.encode("a llama4 b") and "llama4" not in ours.special_ids
    assert ours.decode(ours.encode("a llama4 b"), skip_special=True) == "a llama4 b"


def test_a_folder_prefers_tokenizer_json(tmp_path: Path):
    small_json_file(tmp_path, pieces=900)
    assert Tokenizer.from_pretrained(tmp_path).vocab_size == 1020
    (tmp_path / "tokenizer.json").unlink()
    assert Tokenizer.from_pretrained(str(tmp_path)).vocab_size == 900 + 2048


def test_a_missing_control_token_is_named(tmp_path: Path):
    ours = Tokenizer.from_pretrained(small_json_file(tmp_path, pieces=900, names=("<|eot|>",)))
    with pytest.raises(UserError, match=r"no control token <\|patch\|>"):
        ours.token_id("<|patch|>")


def test_text_must_be_text():
    with pytest.raises(UserError, match="text must be a string, got bytes"):
        ours_from_model().encode(b"hello")  # type: ignore[arg-type]


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no tokenizer: neither tokenizer\.json nor tokenizer\.model"):
        Tokenizer.from_pretrained(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="there is no folder"):
        Tokenizer.from_pretrained(tmp_path / "nowhere" / "at" / "all")


UNIGRAM = '{"version": "1.0", "added_tokens": [], "model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]]}}'
NO_BYTES = '{"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}'


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("tokenizer.json", b"", "is damaged"),
        ("tokenizer.json", b'{"version": "1.0", "model', "is damaged"),
        ("tokenizer.json", b"\xff\xfe\x00", "is damaged"),
        ("tokenizer.json", UNIGRAM.encode(), "no byte-level BPE"),
        ("tokenizer.json", NO_BYTES.encode(), "no byte-level BPE"),
        ("tokenizer.model", b"", "is incomplete"),
        ("tokenizer.model", b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00", "not a piece in base64"),
        ("tokenizer.model", b"YQ== 0\nYg== zero\n", "not a piece in base64"),
        ("tokenizer.model", b"YQ== 0\nYg== 1\n", "is incomplete"),
        ("tokenizer.model", META_FILE.read_bytes()[:10_000], "not a piece in base64"),
        ("tokenizer.model", b"\n".join(META_FILE.read_bytes().splitlines()[:300][::2]), "is incomplete"),
    ],
)
def test_files_that_are_no_llama4_tokenizer_are_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, reason: str
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        Tokenizer.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)
