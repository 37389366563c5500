"""Preparation to upright RGB has expectations of its own, as HF does part of it otherwise. Bad input gets one line."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageFile
from transformers import Llama4ImageProcessor

from llama4_explained.errors import UserError
from llama4_explained.image_input import prepare_image
from llama4_explained.images import tile_image

hf = Llama4ImageProcessor()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_every_source_of_the_same_picture_gives_the_same_image(tmp_path):
    pixels = noise(20, 30)
    picture = Image.fromarray(pixels)
    path = tmp_path / "picture.png"
    picture.save(path)
    spread = np.repeat(pixels, 2, axis=1)[:, ::2]  # not contiguous
    tensor = torch.tensor(pixels)
    sources = [picture, path, str(path), path.read_bytes(), Image.open(path), pixels, spread, tensor, tensor.mT.mT]
    for source in sources:
        prepared = prepare_image(source)
        assert prepared.mode == "RGB"
        assert np.array_equal(np.array(prepared), pixels)


GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.stack([GREY, GREY[::-1], GREY.T], axis=-1)


def from_palette() -> Image.Image:
    image = Image.fromarray(GREY).convert("P")
    image.putpalette([channel for i in range(256) for channel in (i, 255 - i, 7)])
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(COLOURS), COLOURS),
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(GREY > 100), np.where(GREY > 100, 255, 0)),
        (from_palette(), np.stack([GREY, 255 - GREY, np.full_like(GREY, 7)], axis=-1)),
        (Image.fromarray(GREY * np.uint16(2)), np.minimum(GREY * 2.0, 255)),
        (Image.fromarray(GREY * np.int32(3) - 100), np.clip(GREY * 3.0 - 100, 0, 255)),
        (Image.fromarray(GREY * np.float32(3) - 100), np.clip(GREY * 3.0 - 100, 0, 255)),
        (Image.merge("CMYK", [Image.fromarray(c) for c in (GREY, GREY[::-1], GREY.T, GREY)]),
         (255 - COLOURS.astype(float)) * (255 - GREY[..., None]) / 255),
        (Image.merge("YCbCr", [Image.fromarray(c) for c in (GREY, np.full_like(GREY, 128), np.full_like(GREY, 128))]),
         GREY),
        (Image.merge("HSV", [Image.fromarray(c) for c in (np.zeros_like(GREY), np.full_like(GREY, 255), GREY)]),
         np.stack([GREY, 0 * GREY, 0 * GREY], axis=-1)),
    ],
    ids=["RGB", "L", "1", "P", "I;16", "I", "F", "CMYK", "YCbCr", "HSV"],
)  # fmt: skip
def test_modes_without_transparency(image, expected):
    prepared = np.array(prepare_image(image)).astype(float)
    expected = expected if expected.ndim == 3 else expected[..., None]
    assert np.abs(prepared - expected).max() <= 1  # CMYK, YCbCr and HSV are rounded
    assert torch.equal(tile_image(image).pixel_values, hf(image, return_tensors="pt")["pixel_values"])


def with_transparency(mode: str) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """An image of that mode, its colours [16, 16, 3] and its opacity [16, 16] in 0..255."""
    grey_colours = np.repeat(GREY[..., None], 3, axis=-1)
    if mode in ("LA", "RGBA"):
        colours = grey_colours if mode == "LA" else COLOURS
        image = Image.fromarray(np.concatenate([colours, GREY.T[..., None]], axis=-1))
        return image.convert(mode), colours, GREY.T
    palette = np.stack([GREY, 255 - GREY, np.full_like(GREY, 7)], axis=-1)
    if mode == "PA":
        image = from_palette().convert("PA")
        image.putalpha(Image.fromarray(GREY.T.copy()))
        return image, palette, GREY.T
    if mode == "P, one index":
        return Image.open(io.BytesIO(encoded(from_palette(), "PNG", transparency=40))), palette, (GREY != 40) * 255
    if mode == "P, a table":
        opacity = bytes(range(255, -1, -1))
        return Image.open(io.BytesIO(encoded(from_palette(), "PNG", transparency=opacity))), palette, 255 - GREY
    if mode == "L, one grey":
        file = encoded(Image.fromarray(GREY), "PNG", transparency=40)
        return Image.open(io.BytesIO(file)), grey_colours, (GREY != 40) * 255
    file = encoded(Image.fromarray(COLOURS), "PNG", transparency=tuple(map(int, COLOURS[3, 5])))
    return Image.open(io.BytesIO(file)), COLOURS, np.any(COLOURS[3, 5] != COLOURS, axis=-1) * 255


TRANSPARENT_MODES = ["LA", "RGBA", "PA", "P, one index", "P, a table", "L, one grey", "RGB, one colour"]


@pytest.mark.parametrize("mode", TRANSPARENT_MODES)
def test_transparency_shows_white(mode):
    image, colours, opacity = with_transparency(mode)
    opaque = opacity[..., None] / 255
    expected = opaque * colours + (1 - opaque) * 255
    prepared = prepare_image(image)
    assert np.abs(np.array(prepared) - expected).max() <= 1
    assert np.array_equal(np.array(prepare_image(prepared)), np.array(prepared))


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # dropping it is the point here
@pytest.mark.parametrize("mode", TRANSPARENT_MODES)
def test_hf_shows_white_too_or_drops_transparency_as_it_did_in_5_17(mode):
    image, *_ = with_transparency(mode)
    ours, dropped = tile_image(image).pixel_values, tile_image(np.array(image.convert("RGB"))).pixel_values
    theirs = hf(image, return_tensors="pt")["pixel_values"]
    assert torch.equal(theirs, ours) or torch.equal(theirs, dropped)
    assert not torch.equal(ours, dropped)


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores a picture that the EXIF standard's orientation then puts upright."""
    where_row_0_and_column_0_are = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.swapaxes(0, 1),  # left, top
        6: upright.swapaxes(0, 1)[::-1],  # right, top
        7: upright.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
        8: upright.swapaxes(0, 1)[:, ::-1],  # left, bottom
    }
    return np.ascontiguousarray(where_row_0_and_column_0_are[orientation])


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation, format):
    upright = noise(20, 31)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    file = encoded(Image.fromarray(turned(upright, orientation)), format, exif=exif, **options)
    prepared = prepare_image(file)
    assert np.array_equal(np.array(prepared), upright)
    assert np.array_equal(np.array(prepare_image(prepared)), upright)


def test_hf_ignores_exif_orientation():
    upright = noise(20, 700)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = turned(upright, 6)
    file = encoded(Image.fromarray(stored), "PNG", exif=exif)
    theirs = hf(Image.open(io.BytesIO(file)), return_tensors="pt")
    assert theirs["aspect_ratios"].tolist() == [[3, 1]]
    assert torch.equal(theirs["pixel_values"], tile_image(stored).pixel_values)
    assert (tile_image(file).rows, tile_image(file).columns) == (1, 3)


@pytest.mark.parametrize("damage", [b"garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01", b"\0" * 30])
def test_damaged_exif_is_no_reason_to_refuse_a_picture(damage):
    pixels = noise(5, 7)
    file = encoded(Image.fromarray(pixels), "PNG", exif=damage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow's own, about the damage
        assert np.array_equal(np.array(prepare_image(file)), pixels)


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_frame_of_a_file(format):
    frames = [Image.new("RGB", (9, 8), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    file = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(file)).n_frames == 3
    assert prepare_image(file).getpixel((4, 4)) == (255, 0, 0)
    opened = Image.open(io.BytesIO(file))
    opened.seek(2)  # who holds an open image chooses the frame
    assert prepare_image(opened).getpixel((4, 4)) == (0, 0, 255)


# --- bad input gets one line --------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and nothing more."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def refusal(source) -> str:
    with warnings.catch_warnings(record=True) as shown, pytest.raises(UserError) as error:
        warnings.simplefilter("always")
        prepare_image(source)
    assert not shown and "\n" not in str(error.value)  # one line, and nothing of Pillow's beside it
    return str(error.value)


def test_damaged_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)  # Meta's module sets it for the whole process
    for format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        whole = encoded(Image.fromarray(noise(200, 100)), format)
        for length in (len(whole) // 2, len(whole) * 9 // 10):
            path = tmp_path / f"cut.{format.lower()}"
            path.write_bytes(whole[:length])
            assert refusal(path).startswith(f"image {str(path)!r} "), (format, length)
    opened = Image.open(io.BytesIO(whole[:500]))  # Pillow reads lazily: this fails at the first use
    assert refusal(opened).startswith("the image cannot be read: ")
    opened.close()
    assert refusal(opened).startswith("the image cannot be read: ")


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt' is not in an image format that Pillow reads" in refusal(tmp_path / "notes.txt")
    assert refusal(b"") == "the image is not in an image format that Pillow reads, such as JPEG or PNG"
    assert "missing.png' cannot be read: No such file" in refusal(str(tmp_path / "missing.png"))
    assert refusal(tmp_path).startswith(f"image {str(tmp_path)!r} cannot be read: ")
    assert "is an address; download it" in refusal("https://example.com/cat.jpg")
    assert len(refusal("iVBORw0KGgo" * 1000)) < 300  # somebody passed base64
    assert refusal("a\0b") == "image 'a\\x00b' cannot be read: embedded null byte"
    assert "got list" in refusal([1, 2])
    assert "got NoneType" in refusal(None)
    assert "it has no pixels (0 x 5)" in refusal(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("side", [9_500, 15_000, 60_000])
def test_decompression_bombs_are_refused(side):
    """Pillow only warns up to twice its limit of 89 million pixels, and raises an error of its own beyond."""
    assert "the image is too large; shrink it" in refusal(png_header(side, side))


def test_a_decompression_bomb_that_was_opened_already_is_refused():
    with pytest.warns(Image.DecompressionBombWarning):
        opened = Image.open(io.BytesIO(png_header(9_500, 9_500)))
    assert "the image is too large; shrink it" in refusal(opened)


def test_pillows_own_limit_rules(monkeypatch):
    picture = encoded(Image.new("RGB", (40, 30)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "too large" in refusal(picture)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert prepare_image(picture).size == (40, 30)


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (noise(4, 5).astype(np.float32), r"float32 \[4, 5, 3\]"),
        (torch.zeros(4, 5, 3), r"float32 \[4, 5, 3\]"),
        (noise(4, 5).transpose(2, 0, 1), r"uint8 \[3, 4, 5\]"),
        (noise(4, 5, 4), r"uint8 \[4, 5, 4\]"),
        (noise(4, 5)[..., 0], r"uint8 \[4, 5\]"),
        (noise(0, 5), r"uint8 \[0, 5, 3\]"),
    ],
)
def test_other_arrays_are_refused(array, got):
    with pytest.raises(UserError, match=f"must be uint8 .height, width, 3. with values 0..255; got {got}"):
        prepare_image(array)
