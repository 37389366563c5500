import pytest
import torch

from llama4_explained import UserError
from llama4_explained.fusion import Projector, fuse
from oracle import WHOLE, assert_same_function, random_tensor, whole_pair


def test_by_hand():
    """Image tokens fill the places in order: row by row, and tile after tile."""
    embeddings = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
    is_patch = torch.tensor([[False, True, True], [True, False, True]])
    image_tokens = torch.tensor([[[10.0], [20.0]], [[30.0], [40.0]]])
    assert fuse(embeddings, is_patch, image_tokens).flatten().tolist() == [1, 10, 20, 30, 5, 40]
    assert embeddings.flatten().tolist() == [1, 2, 3, 4, 5, 6]


def test_nothing_to_fuse():
    embeddings = random_tensor(2, 3, 4)
    assert torch.equal(fuse(embeddings, torch.zeros(2, 3, dtype=torch.bool), torch.zeros(0, 9, 4)), embeddings)


def test_gradients_reach_both():
    embeddings, image_tokens = random_tensor(1, 3, 2).requires_grad_(), random_tensor(1, 2, 2).requires_grad_()
    fuse(embeddings, torch.tensor([[True, False, True]]), image_tokens).sum().backward()
    assert embeddings.grad[0, :, 0].tolist() == [0, 1, 0] and image_tokens.grad.flatten().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("places", [0, 3, 5])
def test_another_number_of_places(places):
    is_patch = torch.arange(6)[None] < places
    message = rf"the text has {places} patch tokens, the images make 4 \(2 tiles of 2\): use the processor's"
    with pytest.raises(UserError, match=message):
        fuse(torch.zeros(1, 6, 3), is_patch, torch.zeros(2, 2, 3))


def test_image_tokens_take_the_type_of_the_text():
    fused = fuse(torch.zeros(1, 1, 3, dtype=torch.bfloat16), torch.tensor([[True]]), torch.ones(1, 1, 3))
    assert fused.dtype == torch.bfloat16


def test_projector_equals_hf():
    ours, theirs = (model.multi_modal_projector for model in whole_pair())
    assert isinstance(ours, Projector)
    assert_same_function(ours, theirs, random_tensor(9, WHOLE.vision.adapter_width))
