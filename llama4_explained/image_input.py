"""Whatever a user hands over -> one upright RGB image, or one line that says why not."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from .errors import UserError

ImageSource = Image.Image | str | os.PathLike[str] | bytes | np.ndarray | Tensor

# What turns a picture upright, by the value of its EXIF orientation; 1 is upright already.
_TURN_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's decoders raise on damaged data; files with random bytes changed bring most of these to light.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, RuntimeError, ArithmeticError,
            struct.error, zlib.error)  # fmt: skip


def prepare_image(image: ImageSource) -> Image.Image:
    """Make one upright RGB image of whatever is given: the first frame of a file, transparency on white.

    Takes a PIL image (an animated one shows the frame it stands at), a path, the bytes of an image file, or a uint8
    array or tensor [H, W, 3].

    Errors: UserError, one line, if there is no image, it is damaged, has no pixels, or has more pixels than
        `PIL.Image.MAX_IMAGE_PIXELS` (89 million), which may be an attack.
    Source: Pillow's conversion to RGB, as in HF and Meta: 16-bit, 32-bit and float samples are clipped to 0..255.
    Differs: HF ignores the EXIF orientation, so that photographs lie on their side. HF 5.17 drops transparency, which
        shows the colours under it (5.23 does as here); Meta composites RGBA alone.
    """
    if isinstance(image, np.ndarray | Tensor):
        return _image_from_array(image)
    if not isinstance(image, Image.Image | str | os.PathLike | bytes):
        raise UserError(
            "an image is a PIL image, a path, the bytes of an image file, or a uint8 array [height, width, 3]; "
            f"got {type(image).__name__}"
        )
    name = "the image" if isinstance(image, Image.Image | bytes) else f"image {str(os.fspath(image))[:200]!r}"
    if isinstance(image, str) and "://" in image[:10]:
        raise UserError(f"{name} is an address; download it and give the file")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            if isinstance(image, Image.Image):
                return _upright_rgb(image)
            with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
                return _upright_rgb(opened)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise UserError(
                f"{name} is too large; shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it ({error})"
            ) from error
        except UnidentifiedImageError as error:
            raise UserError(f"{name} is not in an image format that Pillow reads, such as JPEG or PNG") from error
        except _DAMAGED as error:
            raise UserError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels, the limit is {limit}")
    if 0 in image.size:
        raise ValueError(f"it has no pixels ({image.width} x {image.height})")
    image.load()  # before its orientation is read: Pillow turns some formats (TIFF) by itself while loading
    orientation = _exif_orientation(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    if image.mode != "RGB":
        image = image.convert("RGB")
    if orientation in _TURN_UPRIGHT:
        image = image.transpose(_TURN_UPRIGHT[orientation])
        image.info.clear()  # its metadata would have the picture turned once more
    return image


def _exif_orientation(image: Image.Image) -> int:
    """1 if there is none; damaged metadata is no reason to refuse a good picture."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGED:
        return 1


def _image_from_array(array: np.ndarray | Tensor) -> Image.Image:
    if array.dtype not in (np.uint8, torch.uint8) or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise UserError(
            "an image array must be uint8 [height, width, 3] with values 0..255; "
            f"got {str(array.dtype).removeprefix('torch.')} {list(array.shape)}"
        )
    return Image.fromarray(array.cpu().numpy() if isinstance(array, Tensor) else array)
