"""Triton's interpreter, mended: it adds and multiplies bfloat16 as if the bits were whole numbers, cuts off what a
conversion to bfloat16 should round, and rounds to e4m3 without a carry. Kernels are right on a GPU either way; here
they can be run without one."""

import numpy as np
import torch
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


def mend() -> None:
    for name, operation in (("create_fadd", np.add), ("create_fsub", np.subtract), ("create_fmul", np.multiply)):
        _mend_operator(name, operation)
    multiply, cast = InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl
    convert = InterpreterBuilder.create_fp_to_fp

    def create_dot(self, a, b, d, *rest):
        if _is_bfloat16(a) or a.dtype.scalar == tl.float8e4nv:
            return TensorHandle(np.matmul(_to_float(a), _to_float(b)) + d.data, d.dtype.scalar)
        return multiply(self, a, b, d, *rest)

    def cast_impl(self, source, target):
        if source.dtype.scalar == tl.float32 and target.scalar == tl.bfloat16:
            return TensorHandle(_to_bfloat16(source.data), tl.bfloat16)
        return cast(self, source, target)

    def create_fp_to_fp(self, source, target, rounding):
        if source.dtype.scalar == tl.float32 and target.scalar == tl.float8e4nv:
            return TensorHandle(_to_float8(source.data), tl.float8e4nv)
        return convert(self, source, target, rounding)

    InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl = create_dot, cast_impl
    InterpreterBuilder.create_fp_to_fp = create_fp_to_fp
    for name in ("create_fp_trunc", "create_fp_ext"):  # they call the method by name, and are looked up on the class
        setattr(InterpreterBuilder, name, lambda self, source, target: self.cast_impl(source, target))


def _mend_operator(name: str, operation: np.ufunc) -> None:
    original = getattr(InterpreterBuilder, name)

    def mended(self, a, b):
        if _is_bfloat16(a):
            return TensorHandle(_to_bfloat16(operation(_to_float(a), _to_float(b))), tl.bfloat16)
        return original(self, a, b)

    setattr(InterpreterBuilder, name, mended)


def _is_bfloat16(handle: TensorHandle) -> bool:
    return handle.dtype.scalar == tl.bfloat16


def _to_float(handle: TensorHandle) -> np.ndarray:
    if handle.dtype.scalar == tl.float8e4nv:
        return torch.from_numpy(np.ascontiguousarray(handle.data)).view(torch.float8_e4m3fn).float().numpy()
    return (handle.data.astype(np.uint32) << 16).view(np.float32)


def _to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Round to nearest, ties to even; bfloat16 is kept as uint16."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _to_float8(values: np.ndarray) -> np.ndarray:
    """Round to e4m3, which is kept as uint8; what is beyond its largest number becomes that, as on a GPU."""
    clipped = torch.from_numpy(np.ascontiguousarray(values)).clamp(-448, 448)
    return clipped.to(torch.float8_e4m3fn).view(torch.uint8).numpy()
