"""The vision tower: a tile of pixels in, 144 image tokens out."""

from .model import VisionModel

__all__ = ["VisionModel"]
