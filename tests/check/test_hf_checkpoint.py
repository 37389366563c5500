import pytest
import torch
import transformers

from llama4_explained import TINY, Llama4, Llama4Text, UserError, load
from llama4_explained.check import hf_checkpoint
from llama4_explained.check.hf_checkpoint import hf_processor, read_both


def test_both_models_have_the_weights_of_the_files(capfd):
    ours, theirs, processor = read_both("tiny")
    stored, _ = load("tiny")
    expected = stored.state_dict()
    assert not ours.training and not theirs.training and processor.image_settings.tile_size == 112
    for weights in (ours.state_dict(), theirs.state_dict()):
        assert weights.keys() == expected.keys()
        for name, tensor in weights.items():
            assert tensor.dtype == torch.float32 and torch.equal(tensor, expected[name].float()), name
    assert capfd.readouterr() == ("", "")
    assert transformers.logging.is_progress_bar_enabled()


@pytest.mark.filterwarnings("ignore:.*has no tokenizer")
def test_checkpoints_that_cannot_be_compared(tmp_path):
    for folder, model in (("whole", Llama4(TINY)), ("text", Llama4Text(TINY.text))):
        model.init_weights(seed=0)
        model.save_pretrained(tmp_path / folder)
        with pytest.raises(UserError, match="lacks vision or a tokenizer"):
            read_both(tmp_path / folder)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(hf_checkpoint, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torchvision"):
        hf_processor("tiny")
