"""What lessons print of comparisons, and that a difference stops them."""

import pytest
import torch
from torch import nn

from llama4_explained.check.lesson import equals, equals_hf


def test_equal_tensors(capsys):
    equals("masks", torch.ones(3), torch.ones(3) + 1e-7, bound=1e-6)
    assert capsys.readouterr().out == "masks: equal, within 1e-6\n"
    with pytest.raises(AssertionError, match=r"masks differs by 1.0e\+00, more than 1e-06"):
        equals("masks", torch.ones(3), torch.zeros(3), bound=1e-6)
    with pytest.raises(AssertionError):
        equals("masks", torch.ones(3), torch.ones(4), bound=1e-6)
    with pytest.raises(AssertionError):
        equals("masks", torch.full((3,), float("nan")), torch.ones(3), bound=1e-6)


def test_equal_to_hugging_face(capsys):
    torch.manual_seed(0)
    theirs, x = nn.Linear(64, 64), torch.randn(5, 64)
    equals_hf("linear", x @ theirs.weight.T + theirs.bias, theirs, theirs, x)
    assert capsys.readouterr().out == "linear: equals Hugging Face's, within 1e-5; their own rounding is up to 1e-6\n"
    with pytest.raises(AssertionError, match="linear differs from Hugging Face's by"):
        equals_hf("linear", x @ theirs.weight.T, theirs, theirs, x)
    with pytest.raises(AssertionError, match="differs"):
        equals_hf("linear", x @ theirs.weight.T + theirs.bias + 1e-4, theirs, theirs, x)
