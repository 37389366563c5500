"""Multiply by a matrix stored in eight bits: see README.md."""

from .launch import matmul_int8
from .reference import Int8Matrix, dequantize_int8, matmul_int8_reference

__all__ = ["Int8Matrix", "dequantize_int8", "matmul_int8", "matmul_int8_reference"]
