import pytest
import torch

from llama4_explained import TINY, UserError
from llama4_explained.check.twins import in_float64, pair
from llama4_explained.vision import VisionModel
from oracle import VISION, WHOLE, assert_equals_hf, random_tensor, whole_pair


def image_tokens_of_hf(theirs, pixel_values):
    with torch.no_grad():
        tokens = theirs(pixel_values).last_hidden_state
        with in_float64(theirs):
            return tokens, theirs(pixel_values.double()).last_hidden_state


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("tiles", [1, 3])
def test_equals_hf(tiles, implementation):
    ours, theirs = (model.vision_model for model in whole_pair(WHOLE, implementation))
    pixel_values = random_tensor(tiles, 3, 24, 24)
    with torch.no_grad():
        assert_equals_hf(ours(pixel_values), *image_tokens_of_hf(theirs, pixel_values))


def test_bfloat16_is_as_good_as_hf():
    ours, theirs = (model.vision_model for model in whole_pair(WHOLE, dtype=torch.bfloat16))
    pixel_values = random_tensor(2, 3, 24, 24)
    expected, exact = image_tokens_of_hf(theirs, pixel_values.bfloat16())
    with torch.no_grad():
        tokens = ours(pixel_values)  # brought to the tower's type by itself
    assert tokens.dtype == torch.bfloat16
    assert (tokens - exact).abs().max() <= 1.5 * (expected - exact).abs().max()


def test_tiles_do_not_see_each_other():
    ours, _ = whole_pair()
    pixel_values = random_tensor(3, 3, 24, 24)
    with torch.no_grad():
        together = ours.vision_model(pixel_values)
        alone = torch.cat([ours.vision_model(tile[None]) for tile in pixel_values])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_the_class_token_comes_last_and_leaves_after_the_norm():
    config = TINY
    ours, _ = pair(config)
    tower = ours.vision_model
    trace = ours.trace(
        torch.tensor([[config.patch_id] * 16]), pixel_values=random_tensor(1, 3, 112, 112), names=("vision.*",)
    )
    assert trace["vision.patches"].shape == (1, 64, 128)
    assert trace["vision.encoded"].shape == (1, 65, 128)
    assert trace["vision.adapter.shuffled"].shape == (1, 16, 512)
    assert torch.equal(trace["vision.image_tokens"], tower.vision_adapter(trace["vision.encoded"][:, :-1]))
    with torch.no_grad():
        before = tower(random_tensor(1, 3, 112, 112))
        tower.class_embedding += torch.linspace(-1, 1, 128)  # not a constant, which the norm would take away
        assert (tower(random_tensor(1, 3, 112, 112)) - before).abs().max() > 1e-3


def test_positions_matter():
    """The same patches elsewhere make other tokens."""
    ours, _ = whole_pair()
    pixel_values = random_tensor(1, 3, 24, 24)
    with torch.no_grad():
        moved = ours.vision_model(pixel_values.roll(8, -1)).view(3, 3, -1).roll(-1, 1)
        assert (moved - ours.vision_model(pixel_values).view(3, 3, -1)).abs().max() > 0.1


@pytest.mark.parametrize("shape", [(1, 3, 24, 28), (1, 1, 24, 24), (3, 24, 24), (1, 1, 3, 24, 24)], ids=str)
def test_tiles_of_other_sizes(shape):
    with pytest.raises(UserError, match=r"pixel_values is \[.*\]; expected \[tiles, 3, 24, 24\]"):
        VisionModel(VISION)(torch.zeros(shape))
