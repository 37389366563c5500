"""Quantised matrix multiplications for Llama 4: Triton kernels that one can read, each beside its specification.

Every operation is a folder: `reference.py` says in plain PyTorch what is computed and how the numbers lie in memory,
`kernel.py` does the same in Triton, `configs.py` chooses sizes, with reasons, and `README.md` tells how fast it can be
and how fast it is. On a machine without CUDA the public functions run the specification.
"""

from .attention import QuantizedKeys, attention_decode, quantize_keys
from .matmul_fp8 import Fp8Matrix, matmul_fp8
from .matmul_int4 import Int4Matrix, matmul_int4, pack_int4
from .matmul_int8 import Int8Matrix, matmul_int8
from .moe_int4 import Int4Expert, moe_int4, stack_experts

__all__ = [
    "Fp8Matrix", "Int4Expert", "Int4Matrix", "Int8Matrix", "QuantizedKeys", "attention_decode", "matmul_fp8",
    "matmul_int4", "matmul_int8", "moe_int4", "pack_int4", "quantize_keys", "stack_experts",
]  # fmt: skip
