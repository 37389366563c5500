"""Multiply by a matrix stored in eight-bit floating point, with x in the same: see README.md."""

from .launch import matmul_fp8
from .reference import Fp8Matrix, dequantize_fp8, matmul_fp8_reference, round_tokens

__all__ = ["Fp8Matrix", "dequantize_fp8", "matmul_fp8", "matmul_fp8_reference", "round_tokens"]
