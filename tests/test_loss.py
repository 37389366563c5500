import dataclasses
import math

import pytest
import torch
from transformers.loss.loss_utils import ForCausalLMLoss

from llama4_explained import UserError, next_token_loss
from llama4_explained.check.twins import pair
from oracle import TEXT, WHOLE, assert_equals_hf, random_ids, random_tensor

TIED = dataclasses.replace(TEXT, tie_embeddings=True)


def test_by_hand():
    """Logits of 0 and log 3 are probabilities of 1/4 and 3/4; the last position predicts nothing."""
    logits = torch.tensor([[[0.0, math.log(3)], [math.log(3), 0.0], [9.0, -9.0]]])
    loss = next_token_loss(logits, torch.tensor([[0, 1, 1]]))
    assert loss.item() == pytest.approx((-math.log(3 / 4) - math.log(1 / 4)) / 2)
    assert next_token_loss(logits, torch.tensor([[0, -100, 1]])).item() == pytest.approx(-math.log(1 / 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_hf(dtype):
    logits, labels = random_tensor(3, 11, 96).to(dtype), random_ids(3, 11)
    labels[0, :4] = labels[2, 7:] = -100
    torch.testing.assert_close(next_token_loss(logits, labels), ForCausalLMLoss(logits, labels, 96), rtol=1e-6, atol=0)


def test_labels_of_another_shape():
    with pytest.raises(UserError, match=r"labels is \[2, 5\]; expected \[2, 6\], one for every position of the logits"):
        next_token_loss(torch.zeros(2, 6, 9), torch.zeros(2, 5, dtype=torch.long))


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("config", [TEXT, TIED, WHOLE], ids=["text", "tied", "whole"])
def test_loss_and_all_gradients_equal_hf(config):
    """Text, vision, router, experts, norms; padding, whose labels do not count; an image in each row."""
    ours, theirs = pair(config, std=0.2)
    ids, inputs = random_ids(2, 30), {}
    ids[0, 25:] = ids[1, 20] = TEXT.pad_id  # the last one is seen by the tokens after it
    labels = ids.masked_fill(ids == TEXT.pad_id, -100)
    if config is WHOLE:
        ids[:, 4:13] = labels[:, 4:13] = config.patch_id
        inputs = {"pixel_values": random_tensor(2, 3, 24, 24)}
    ours.train(), theirs.train()

    loss = next_token_loss(ours(ids, **inputs), labels)
    result = gradients(ours, loss)
    ours.zero_grad()  # the twins share their weights
    expected_loss = theirs(ids, labels=labels, **inputs).loss
    expected = gradients(theirs, expected_loss)
    theirs.double()
    if config is WHOLE:  # `.double()` strips the complex rotation of its imaginary half
        rotation = type(theirs.vision_model.rotary_embedding)(theirs.config.vision_config)
        theirs.vision_model.rotary_embedding = rotation
        inputs = {"pixel_values": inputs["pixel_values"].double()}
    exact_loss = theirs(ids, labels=labels, **inputs).loss
    exact = gradients(theirs, exact_loss)

    assert abs(loss.item() - exact_loss.item()) < 1e-5
    assert result.keys() == expected.keys()
    text = "language_model." if config is WHOLE else ""
    for name in (
        "model.layers.1.feed_forward.router.weight",
        "model.layers.3.feed_forward.experts.down_proj",
        "model.norm.weight",
    ):
        assert result[text + name].abs().max() > 0
    for name, gradient in result.items():
        assert_equals_hf(gradient, expected[name], exact[name])
    if config is not TIED:  # padding is not learned, unless the output head shares its row
        assert not result[text + "model.embed_tokens.weight"][TEXT.pad_id].any()


def test_every_parameter_can_be_trained():
    ours, _ = pair(WHOLE, std=0.2)
    ids = random_ids(1, 60)
    ids[0, 4:13] = WHOLE.patch_id
    found = gradients(ours, next_token_loss(ours(ids, random_tensor(1, 3, 24, 24)), ids))
    assert found.keys() == dict(ours.named_parameters()).keys()
    unmoved = {name for name, gradient in found.items() if not gradient.any()}
    assert unmoved == set()


def test_a_few_steps_lower_the_loss():
    ours, _ = pair(TEXT, std=0.2)
    ids = random_ids(2, 20)
    optimizer = torch.optim.AdamW(ours.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = next_token_loss(ours(ids), ids)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
