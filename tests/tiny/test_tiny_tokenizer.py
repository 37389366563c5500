import pytest
from tokenizers.pre_tokenizers import ByteLevel

from llama4_explained import TINY, special_tokens
from llama4_explained.chat import ChatFormat
from llama4_explained.tiny.languages import ALL
from llama4_explained.tiny.scenes import make_scene
from llama4_explained.tiny.tiny_tokenizer import NUM_SPECIAL, learn_tokenizer
from tiny_world import sentences, tokenizer


def test_ids_are_those_of_the_config():
    ids = tokenizer().special_ids
    assert tokenizer().vocab_size == TINY.text.vocab_size and len(ids) == NUM_SPECIAL
    assert (ids[special_tokens.BEGIN_OF_TEXT], ids[special_tokens.PADDING]) == (TINY.text.bos_id, TINY.text.pad_id)
    ends = (special_tokens.END_OF_TEXT, special_tokens.END_OF_MESSAGE, special_tokens.END_OF_TURN)
    assert tuple(ids[name] for name in ends) == TINY.text.eos_ids
    images = (ids[special_tokens.IMAGE_START], ids[special_tokens.IMAGE_END], ids[special_tokens.PATCH])
    assert images == (TINY.image_start_id, TINY.image_end_id, TINY.patch_id)
    ChatFormat(tokenizer())  # has all that a conversation needs


def test_learning_again_gives_the_same():
    assert learn_tokenizer(sentences(0, 2000))._vocabulary.to_json() == tokenizer()._vocabulary.to_json()


def test_any_text_comes_back():
    for text in [*sentences(2000, 2100), "Naïve 😀 text, что угодно: 漢字\n\t  x=1"]:
        assert tokenizer().decode(tokenizer().encode(text)) == text


@pytest.mark.parametrize("language", ALL, ids=[language.code for language in ALL])
def test_every_language_is_short(language):
    """No sentence of a picture takes more than a token for every two letters, and most take fewer."""
    scene = make_scene(2105, num_objects=3)
    text = language.caption(scene.groups())
    assert len(tokenizer().encode(text)) <= 0.5 * len(text)


def test_letters_keep_their_marks():
    """GPT-2 cuts the Hindi word for picture in pieces; here it is one word, and becomes one token."""
    assert len(ByteLevel(add_prefix_space=False).pre_tokenize_str("चित्र")) > 1
    assert len(tokenizer().encode("चित्र")) == 1


@pytest.mark.parametrize("role", ["user", "assistant", "system", "ipython"])
def test_who_speaks_is_one_token(role):
    """As in Llama 4's vocabulary: so a question is near to the answer that it asks for."""
    start, _, end, line_ends = ChatFormat(tokenizer()).header(role)
    assert tokenizer().decode([line_ends]) == "\n\n"
    assert {start, end} == {tokenizer().token_id(name) for name in ("<|header_start|>", "<|header_end|>")}


def test_too_few_texts_are_refused():
    with pytest.raises(ValueError, match="take more texts"):
        learn_tokenizer(["A red star."])
