"""Multiply by a matrix stored in four bits: see README.md."""

from .launch import matmul_int4
from .reference import Int4Matrix, dequantize_int4, matmul_int4_reference, pack_int4

__all__ = ["Int4Matrix", "dequantize_int4", "matmul_int4", "matmul_int4_reference", "pack_int4"]
