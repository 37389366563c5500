import pytest
import torch
from torch import nn

from llama4_explained.linear import Linear, product
from oracle import random_tensor

# One row and several, even and odd sizes: halves can be taken of some of them only.
SHAPES = [(tokens, inputs, outputs) for tokens in (1, 2, 7) for inputs in (64, 63) for outputs in (48, 47)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("tokens", "inputs", "outputs"), SHAPES)
def test_products_equal_pytorchs(tokens, inputs, outputs, dtype):
    """Within the rounding of sums in another order: 2e-6 in float32, of numbers up to 30."""
    x, matrix = random_tensor(tokens, inputs).to(dtype), random_tensor(inputs, outputs, seed=1).to(dtype)
    tolerance = 20 * torch.finfo(dtype).eps * 8
    torch.testing.assert_close(product(x, matrix), x @ matrix, atol=tolerance, rtol=0)
    linear = Linear(inputs, outputs).to(dtype)
    theirs = nn.functional.linear(x, linear.weight)
    torch.testing.assert_close(linear(x), theirs, atol=tolerance, rtol=0)


@pytest.mark.parametrize("shape", [(64,), (1, 64), (1, 1, 64), (2, 3, 64)])
def test_leading_axes_stay(shape):
    linear, x = Linear(64, 48), random_tensor(*shape)
    assert linear(x).shape == (*shape[:-1], 48)
    torch.testing.assert_close(linear(x), nn.functional.linear(x, linear.weight), atol=1e-6, rtol=0)


def test_a_row_that_is_strided():
    linear, x = Linear(64, 48), random_tensor(64, 2)[:, :1].T
    torch.testing.assert_close(linear(x), nn.functional.linear(x, linear.weight), atol=1e-6, rtol=0)
    torch.testing.assert_close(product(x, linear.weight.T), linear(x), atol=1e-6, rtol=0)


def test_gradients():
    linear, x = Linear(64, 48), random_tensor(1, 64).requires_grad_()
    for result in (linear(x), product(x, linear.weight.T)):
        expected = torch.autograd.grad(nn.functional.linear(x, linear.weight).pow(2).sum(), (x, linear.weight))
        for ours, theirs in zip(torch.autograd.grad(result.pow(2).sum(), (x, linear.weight)), expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


def test_one_row_takes_the_quick_way(monkeypatch):
    """What makes decoding quick; `llama4-explained benchmark cpu` shows how much."""
    calls = []
    monkeypatch.setattr(torch, "bmm", lambda *matrices: calls.append(matrices) or torch.matmul(*matrices))
    linear = Linear(64, 48)
    for tokens, expected in ((1, 2), (2, 0)):
        calls.clear()
        product(linear(random_tensor(tokens, 64)), random_tensor(48, 30))
        assert len(calls) == expected
