import torch

from llama4_explained.vision.patches import PatchEmbedding, cut_into_patches
from oracle import VISION, assert_same_function, random_tensor, whole_pair


def test_by_hand():
    """A tile of 4 x 4 pixels and two colours, cut into patches of 2 x 2."""
    tile = torch.tensor([
        [ 0,  1,  2,  3],
        [ 4,  5,  6,  7],
        [ 8,  9, 10, 11],
        [12, 13, 14, 15],
    ])  # fmt: skip
    patches = cut_into_patches(torch.stack([tile, tile + 100])[None], 2)
    assert patches.tolist() == [[
        [0, 1, 4, 5, 100, 101, 104, 105],
        [2, 3, 6, 7, 102, 103, 106, 107],
        [8, 9, 12, 13, 108, 109, 112, 113],
        [10, 11, 14, 15, 110, 111, 114, 115],
    ]]  # fmt: skip


def test_a_patch_sized_tile_is_one_patch():
    tile = random_tensor(2, 3, 14, 14)
    assert torch.equal(cut_into_patches(tile, 14), tile.flatten(1)[:, None])


def test_equals_hf():
    ours, theirs = (model.vision_model.patch_embedding for model in whole_pair())
    assert isinstance(ours, PatchEmbedding)
    tiles = random_tensor(3, 3, 24, 24)
    assert torch.equal(cut_into_patches(tiles, VISION.patch_size), theirs.unfold(tiles).transpose(1, 2))
    assert_same_function(ours, theirs, tiles)
