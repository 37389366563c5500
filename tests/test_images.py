"""Canvas, tiles and pixel values equal HF's image processor bit for bit; every choice of a canvas equals Meta's."""

import json
import random
from functools import partial
from pathlib import Path

import llama_models
import numpy as np
import pytest
import torch
from llama_models.llama4.preprocess import VariableSizeImageTransform
from PIL import Image
from skimage import data
from transformers import Llama4ImageProcessor
from transformers.models.llama4.image_processing_llama4 import get_max_res_without_distortion

from llama4_explained.errors import UserError
from llama4_explained.images import (
    ImageSettings,
    candidate_canvases,
    choose_canvas,
    fit_inside,
    normalize,
    prepare_image,
    resize_and_pad,
    split_into_tiles,
    tile_image,
    to_pixels,
)

hf = Llama4ImageProcessor()
meta = VariableSizeImageTransform(size=336)
RESOURCES = Path(next(iter(llama_models.__path__))) / "resources"


def noise(height: int, width: int) -> np.ndarray:
    """Noise shows every rounding of a resize, which a smooth picture may hide."""
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_equals_hf(image, oracle: Llama4ImageProcessor = hf, **settings) -> None:
    ours, theirs = tile_image(image, **settings), oracle(prepare_image(image), return_tensors="pt")
    assert [ours.rows, ours.columns] == theirs["aspect_ratios"][0].tolist()
    assert ours.pixel_values.dtype == theirs["pixel_values"].dtype == torch.bfloat16
    assert torch.equal(ours.pixel_values, theirs["pixel_values"])
    assert ours.num_tiles == ours.rows * ours.columns + ours.has_global_tile


# --- the whole way, against HF ------------------------------------------------------------------------------------

FIXED_SIZES = [
    (1, 1), (1, 2), (2, 1), (1, 336), (1, 5000), (5000, 1), (3, 100_000), (79, 79), (79, 158), (335, 335), (336, 336),
    (336, 337), (337, 336), (337, 337), (335, 672), (336, 672), (673, 336), (671, 1009), (1344, 1344), (1345, 1343),
    (5376, 336), (336, 5377), (6000, 1), (100_000, 3), (1000, 1000), (3000, 4000), (6000, 4000),
]  # fmt: skip


@pytest.mark.parametrize(("height", "width"), FIXED_SIZES)
def test_equals_hf_bit_for_bit(height, width):
    assert_equals_hf(noise(height, width))


@pytest.mark.parametrize("seed", range(10))
def test_equals_hf_on_random_sizes_in_one_batch(seed):
    """HF takes several images at once, groups them by size, and returns their tiles one image after the other."""
    random.seed(seed)
    sizes = [(int(2 ** random.uniform(0, 10)), int(2 ** random.uniform(0, 10))) for _ in range(32)]
    images = [noise(*size) for size in sizes]
    ours = [tile_image(image) for image in images]
    theirs = hf([Image.fromarray(image) for image in images], return_tensors="pt")
    assert [[image.rows, image.columns] for image in ours] == theirs["aspect_ratios"].tolist()
    assert torch.equal(torch.cat([image.pixel_values for image in ours]), theirs["pixel_values"])


@pytest.mark.parametrize(
    "photograph",
    [RESOURCES / "dog.jpg", RESOURCES / "pasta.jpeg", data.astronaut(), data.chelsea()],
    ids=["dog", "pasta", "astronaut", "chelsea"],
)
def test_equals_hf_on_photographs(photograph):
    assert_equals_hf(photograph)


@pytest.mark.parametrize("tile_size", [14, 50, 112, 448])
@pytest.mark.parametrize("max_tiles", [1, 2, 5, 16, 30])
def test_equals_hf_with_other_tiles(tile_size, max_tiles):
    oracle = Llama4ImageProcessor(size={"height": tile_size, "width": tile_size}, max_patches=max_tiles)
    for height, width in [(9, 200), (112, 113), (500, 260), (701, 83)]:
        assert_equals_hf(noise(height, width), oracle, tile_size=tile_size, max_tiles=max_tiles)


def test_equals_hf_with_a_mean_and_std_for_each_colour():
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    oracle = Llama4ImageProcessor(image_mean=list(mean), image_std=list(std))
    assert_equals_hf(noise(400, 300), oracle, mean=mean, std=std)


# --- each step ----------------------------------------------------------------------------------------------------


def test_candidates_are_all_grids_of_at_most_max_tiles():
    assert candidate_canvases(3) == ((1, 1), (1, 2), (1, 3), (2, 1), (3, 1))
    assert len(candidate_canvases(16)) == 50
    assert {tuple(336 * n for n in canvas) for canvas in candidate_canvases(16)} == set(
        meta.find_supported_resolutions(16, 336)
    )


@pytest.mark.parametrize(
    ("height", "width", "canvas"),
    [
        (336, 336, (1, 1)),  # a perfect fit; 1 x 2 has the same scale and more padding
        (337, 336, (2, 1)),  # one row too many for one tile: more tiles rather than less detail
        (100, 900, (1, 3)),
        (1, 1, (1, 1)),
        (1009, 1008, (4, 3)),
        (4000, 3000, (4, 3)),  # shrinks on every canvas: on 4 x 3 the least
        (3000, 4000, (3, 4)),
        (1, 100_000, (1, 16)),
    ],
)
def test_known_canvases(height, width, canvas):
    assert choose_canvas(height, width) == canvas


def test_canvas_equals_metas_on_3000_sizes():
    random.seed(0)
    for max_tiles in (16, 7):
        resolutions = torch.tensor(meta.find_supported_resolutions(max_tiles, 336))
        sizes = [(int(2 ** random.uniform(0, 13)), int(2 ** random.uniform(0, 13))) for _ in range(1000)]
        near_tiles = [336 * tiles + offset for tiles in range(1, 18) for offset in (-1, 0, 1)]
        sizes += [(random.choice(near_tiles), random.choice(near_tiles)) for _ in range(500)]
        for height, width in sizes:
            theirs = meta.get_best_fit((width, height), resolutions)
            rows, columns = choose_canvas(height, width, 336, max_tiles)
            assert (columns * 336, rows * 336) == theirs, (height, width)


def test_fit_inside_equals_hf_where_float_arithmetic_rounds_down():
    assert fit_inside(79, 79, (1, 1)) == (336, 335)
    assert fit_inside(79, 158, (1, 1)) == (167, 336)
    assert fit_inside(158, 79, (1, 1)) == (336, 167)
    for height in range(1, 400, 3):
        for width in range(1, 400, 7):
            canvas = choose_canvas(height, width, 112)
            limits = [min(max(side, 112), tiles * 112) for side, tiles in zip((height, width), canvas, strict=True)]
            theirs = get_max_res_without_distortion((height, width), tuple(limits))
            assert fit_inside(height, width, canvas, 112) == tuple(max(1, side) for side in theirs)


def test_a_small_image_grows_to_one_tile_and_no_further():
    assert fit_inside(50, 100, (1, 2)) == (168, 336)
    assert fit_inside(300, 400, (1, 2)) == (300, 400)  # wide enough: stays as it is, although the canvas has room


@pytest.mark.parametrize("height", [1, 63, 64, 65, 200])
def test_pixels_are_those_of_the_image(height):
    pixels = noise(height, 9)
    assert np.array_equal(to_pixels(Image.fromarray(pixels)).permute(1, 2, 0).numpy(), pixels)


def test_padding_is_black_below_and_to_the_right():
    pixels = to_pixels(Image.new("RGB", (400, 300), (9, 8, 7)))
    padded = resize_and_pad(pixels, (1, 2))
    assert padded.shape == (3, 336, 672)
    assert torch.equal(padded[:, :300, :400], pixels)
    assert padded[:, 300:].eq(0).all() and padded[:, :, 400:].eq(0).all()


def test_tiles_go_row_by_row():
    numbers = torch.arange(6, dtype=torch.uint8).view(1, 2, 1, 3, 1)  # tile numbers on a grid of 2 x 3
    canvas = numbers.expand(3, 2, 4, 3, 4).reshape(3, 8, 12)
    tiles = split_into_tiles(canvas, 4)
    assert torch.equal(tiles, torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 4, 4))


def test_the_global_tile_is_last_and_shows_the_whole_image():
    left_white = np.zeros((336, 1008, 3), np.uint8)
    left_white[:, :504] = 255
    tiles = tile_image(left_white).pixel_values
    assert tiles.shape[0] == 4
    assert tiles[0].min() == 1 and tiles[2].max() == -1
    assert tiles[3][:, :, :160].min() == 1 and tiles[3][:, :, 176:].max() == -1


def test_all_256_bytes_are_normalised_in_bfloat16():
    all_bytes = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    theirs = hf.rescale_and_normalize(all_bytes, True, 1 / 255, True, [0.5] * 3, [0.5] * 3)
    assert torch.equal(normalize(all_bytes), theirs)
    in_float32 = ((all_bytes / 255 - 0.5) / 0.5).bfloat16()
    assert (normalize(all_bytes) != in_float32)[0].sum() == 128


# --- settings -----------------------------------------------------------------------------------------------------

PUBLISHED = {
    "crop_size": None, "do_center_crop": None, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True,
    "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "Llama4ImageProcessorFast",
    "image_std": [0.5, 0.5, 0.5], "max_patches": 16, "processor_class": "Llama4Processor", "resample": 2,
    "rescale_factor": 0.00392156862745098, "resize_to_max_canvas": False, "size": {"height": 336, "width": 336},
}  # fmt: skip


def test_settings_of_published_checkpoints_are_the_defaults():
    assert ImageSettings.from_hf_dict(PUBLISHED) == ImageSettings()
    assert ImageSettings.from_hf_dict({"image_processor": PUBLISHED}) == ImageSettings()
    assert ImageSettings.from_hf_dict({}) == ImageSettings()


@pytest.mark.parametrize(
    "change", [{"size": 112}, {"max_patches": 4}, {"image_mean": 0.25}, {"image_std": [0.3, 1, 2]}]
)
def test_settings_mean_what_hf_means_by_them(change, tmp_path):
    settings = ImageSettings.from_hf_dict(PUBLISHED | change)
    assert settings != ImageSettings()
    assert_equals_hf(noise(300, 500), Llama4ImageProcessor(**change), **vars(settings))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings.to_hf_dict()))
    assert_equals_hf(noise(300, 500), Llama4ImageProcessor.from_pretrained(tmp_path), **vars(settings))
    assert vars(ImageSettings.from_hf_dict(settings.to_hf_dict())) == vars(settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resize_to_max_canvas": True}, "resize_to_max_canvas = True is not supported"),
        ({"resample": 3}, "resample = 3 is not supported; Llama 4 uses 2"),
        ({"rescale_factor": 1.0}, "rescale_factor = 1.0 is not supported"),
        ({"do_normalize": False}, "do_normalize = False is not supported"),
        ({"do_rescale": None}, "do_rescale = None is not supported"),  # HF takes null as off
        ({"size": {"height": 336, "width": 448}}, "size must be a square"),
        ({"size": {"shortest_edge": 336}}, "size must be a square"),
        ({"max_patches": 0}, "max_tiles must be a positive whole number; got 0"),
        ({"image_std": [0.5, 0, 0.5]}, "std must not be 0"),
        ({"image_mean": [0.5, 0.5]}, "mean must be three numbers"),
    ],
)
def test_settings_that_would_make_other_pixels_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        ImageSettings.from_hf_dict(PUBLISHED | change)


@pytest.mark.parametrize(
    "call",
    [
        partial(tile_image, noise(2, 2), tile_size=0),
        partial(tile_image, noise(2, 2), max_tiles=0),
        partial(tile_image, noise(2, 2), max_tiles=-1),
        partial(choose_canvas, 0, 5),
        partial(choose_canvas, 5, -1),
        partial(candidate_canvases, 0),
    ],
)
def test_sizes_must_be_positive(call):
    with pytest.raises(UserError, match="must be a positive whole number; got"):
        call()
