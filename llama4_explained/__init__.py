"""Llama 4, built piece by piece, and checked against Hugging Face's."""

from .config import LayerSpec, Llama4Config, RopeScaling, TextConfig, VisionConfig
from .errors import UserError
from .kv_cache import KVCache
from .loading import load
from .loss import next_token_loss
from .model import Llama4, Llama4Text
from .presets import MAVERICK, SCOUT, TINY
from .processor import Processor
from .trace import Trace

__version__ = "0.1.0"
__all__ = [
    "MAVERICK",
    "SCOUT",
    "TINY",
    "KVCache",
    "LayerSpec",
    "Llama4",
    "Llama4Config",
    "Llama4Text",
    "Processor",
    "RopeScaling",
    "TextConfig",
    "Trace",
    "UserError",
    "VisionConfig",
    "load",
    "next_token_loss",
]
