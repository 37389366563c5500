"""What the CPU computes, a GPU must compute too: the model, its cache, training, and quantising while loading."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from llama4_explained import KVCache, Llama4, load, next_token_loss
from llama4_explained.check.routing import pinned_decisions, recorded_decisions
from llama4_explained.check.setups import tiny_config
from oracle import random_ids

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

CONFIG = tiny_config()
NUM_TOKENS = 3 * CONFIG.text.chunk_size + 5
BOTH_TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
Run = Callable[[Llama4, str], Tensor]  # of a model on a device


def model_on_cpu(dtype: torch.dtype) -> Llama4:
    model = Llama4(CONFIG)
    model.init_weights(std=0.1, seed=0)
    return model.to(dtype).eval()


def with_images() -> tuple[Tensor, Tensor]:
    """Text, two tiles in it, and more text: ids [1, T], pixel values [2, 3, size, size]."""
    size = CONFIG.vision.image_size
    patches = torch.full((1, 2 * CONFIG.vision.tokens_per_tile), CONFIG.patch_id)
    ids = torch.cat([random_ids(1, 9), patches, random_ids(1, NUM_TOKENS, seed=1)], dim=1)
    return ids, torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def assert_as_exact_as_the_cpu(run: Run, dtype: torch.dtype) -> None:
    """Both against float64 on the same weights, whose experts all choose: sums in another order cost no more."""
    model = model_on_cpu(dtype)
    wide = copy.deepcopy(model).double()
    with recorded_decisions(wide) as decisions:
        exact = run(wide, "cpu").double()
    errors = []
    for device in ("cpu", "cuda"):
        on_device = copy.deepcopy(model).to(device)
        with pinned_decisions(on_device, [decision.to(device) for decision in decisions]):
            errors.append(float((run(on_device, device).cpu().double() - exact).abs().max()))
    assert 0 < errors[1] <= 3 * errors[0]


@BOTH_TYPES
@torch.no_grad()
def test_images_and_text(dtype):
    ids, pixels = with_images()
    assert_as_exact_as_the_cpu(lambda model, device: model(ids.to(device), pixels.to(device)), dtype)


@BOTH_TYPES
@torch.no_grad()
def test_a_padded_batch_in_segments_then_token_by_token(dtype):
    ids = random_ids(3, NUM_TOKENS)
    mask = torch.ones_like(ids)
    mask[1, :20] = mask[2, :-2] = 0

    def run(model: Llama4, device: str) -> Tensor:
        cache, logits, start = KVCache(CONFIG.text), [], 0
        for stop in (7, CONFIG.text.chunk_size + 1, NUM_TOKENS - 8, *range(NUM_TOKENS - 7, NUM_TOKENS + 1)):
            inputs, real = ids[:, start:stop].to(device), mask[:, start:stop].to(device)
            logits.append(model(inputs, attention_mask=real, cache=cache))
            start = stop
        return torch.cat(logits, dim=1)[mask.bool().to(device)]

    assert_as_exact_as_the_cpu(run, dtype)


def test_gradients():
    ids, pixels = with_images()

    def run(model: Llama4, device: str) -> Tensor:
        next_token_loss(model(ids.to(device), pixels.to(device)), ids.to(device)).backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])

    assert_as_exact_as_the_cpu(run, torch.float32)


def test_greedy_tokens():
    model, (ids, pixels) = model_on_cpu(torch.float32), with_images()
    expected = model.generate(ids, pixel_values=pixels, max_new_tokens=40, stop_ids=())
    written = model.cuda().generate(ids.cuda(), pixel_values=pixels.cuda(), max_new_tokens=40, stop_ids=())
    assert written.tolist() == expected.tolist()


def test_drawn_tokens_follow_the_seed():
    model, ids = model_on_cpu(torch.bfloat16).cuda(), random_ids(2, 20).cuda()
    settings = {"max_new_tokens": 20, "temperature": 1.0, "top_k": 50, "top_p": 0.9, "stop_ids": ()}
    first, again, other = (model.generate(ids, seed=seed, **settings) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.filterwarnings("ignore:.*no tokenizer")
@pytest.mark.parametrize("name", ["int8", "int4", "int3", "int2", "fp8"])
def test_quantised_while_loading(name, tmp_path):
    model_on_cpu(torch.bfloat16).save_pretrained(tmp_path)
    (cpu, _), (gpu, _) = (load(tmp_path, quantize=name, device=device) for device in ("cpu", "cuda"))
    expected = cpu.state_dict()
    for key, tensor in gpu.state_dict().items():
        assert tensor.is_cuda and torch.equal(tensor.cpu().view(torch.uint8), expected[key].view(torch.uint8)), key
