import pytest
import torch
from transformers.models.llama4.modeling_llama4 import Llama4TextL2Norm, Llama4TextRMSNorm

from llama4_explained.norms import RMSNorm, rms_normalize
from oracle import TEXT, assert_same_function, random_tensor, text_pair


def test_by_hand():
    # The mean square of (3, 4) is 12.5; of (1, 7), 25.
    normalized = rms_normalize(torch.tensor([[3.0, 4.0], [1.0, 7.0]]), eps=0.0)
    assert torch.allclose(normalized, torch.tensor([[3 / 12.5**0.5, 4 / 12.5**0.5], [0.2, 1.4]]), rtol=1e-6)


def test_epsilon_is_added_to_the_mean_square():
    assert torch.allclose(rms_normalize(torch.full((4,), 3.0), eps=7.0), torch.full((4,), 0.75), rtol=1e-6)
    assert torch.equal(rms_normalize(torch.zeros(4), eps=1e-5), torch.zeros(4))


def test_it_is_no_l2_norm():
    """HF names it so, but rows come out with length sqrt(D), not 1."""
    length = rms_normalize(random_tensor(3, 64), eps=1e-6).norm(dim=-1)
    assert torch.allclose(length, torch.full((3,), 8.0), rtol=1e-4)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_equals_hf(eps):
    x = random_tensor(2, 5, 48) * torch.logspace(-3, 3, 5)[:, None]
    assert_same_function(lambda x: rms_normalize(x, eps), Llama4TextL2Norm(eps), x)
    theirs = Llama4TextRMSNorm(48, eps)
    theirs.weight.data = random_tensor(48, seed=1)
    ours = RMSNorm(48, eps)
    ours.load_state_dict(theirs.state_dict())
    assert_same_function(ours, theirs, x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_equals_hf_to_the_bit_in_half_precision(dtype):
    x = (random_tensor(2, 7, 48) * 300).to(dtype)  # squared, this overflows float16
    theirs = Llama4TextRMSNorm(48).to(dtype)
    theirs.weight.data = random_tensor(48, seed=1).to(dtype)
    ours = RMSNorm(48).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x)) and ours(x).isfinite().all() and ours(x).dtype == dtype
    assert torch.equal(rms_normalize(x, 1e-5), Llama4TextL2Norm(1e-5)(x))
    # The input's type is what the weight multiplies: one rounding more than if the product were rounded once.
    in_one_go = (rms_normalize(x.float(), 1e-5) * ours.weight.float()).to(dtype)
    assert not torch.equal(ours(x), in_one_go)


def test_every_norm_has_the_epsilon_of_the_config():
    ours, theirs = text_pair()
    layer = ours.model.layers[0]
    norms = (layer.input_layernorm, layer.post_attention_layernorm, ours.model.norm)
    assert {norm.eps for norm in norms} == {TEXT.rms_norm_eps}
    assert theirs.model.layers[0].self_attn.qk_norm.eps == layer.self_attn.config.rms_norm_eps


def test_printed_form():
    assert repr(RMSNorm(8, 1e-6)) == "RMSNorm(8, eps=1e-06)"
