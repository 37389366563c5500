"""Attention of a decode step over a long cache: see README.md."""

from .launch import attention_decode
from .reference import QuantizedKeys, attention_decode_reference, dequantize_keys, quantize_keys

__all__ = ["QuantizedKeys", "attention_decode", "attention_decode_reference", "dequantize_keys", "quantize_keys"]
