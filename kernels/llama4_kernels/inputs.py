"""What every multiplication asks of its input, and matrices whose rows share a scale."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def check_input(x: Tensor, shape: tuple[int, int], device: torch.device, reference: str) -> None:
    """x must be [..., K] for a matrix [N, K] on `device`, and bfloat16 on CUDA; `reference` takes any floating type.

    Errors: ValueError that says what x is, and what it must be.
    """
    num_rows, width = shape
    if x.ndim == 0 or x.shape[-1] != width:
        raise ValueError(f"x must be [..., {width}] for a matrix [{num_rows}, {width}], got {list(x.shape)}")
    if x.device != device:
        raise ValueError(f"x is on {x.device}, the matrix on {device}; move one of them")
    if x.dtype not in FLOATS:
        raise ValueError(f"x must be of a floating type of 16 bits or more, got {x.dtype}")
    if x.is_cuda and x.dtype != torch.bfloat16:
        raise ValueError(f"x must be bfloat16 on CUDA, got {x.dtype}; convert it, or use {reference}")


def as_rows(x: Tensor) -> Tensor:
    """[..., K] -> [M, K], whose numbers of a row lie side by side; rows may lie apart."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(-1) == 1 else rows.contiguous()


@dataclass(frozen=True)
class RowMatrix:
    """A matrix [N, K], a byte a number, row after row. Nothing is copied: the kernels read numbers as they lie.

    Errors: ValueError for other shapes or types, or numbers that do not lie row after row.
    """

    codes: Tensor  # CODES [N, K]
    scale: Tensor  # bfloat16 [N]

    CODES: ClassVar[torch.dtype]

    def __post_init__(self) -> None:
        codes, scale = self.codes, self.scale
        if codes.ndim != 2 or codes.dtype != self.CODES:
            expected = str(self.CODES).removeprefix("torch.")
            raise ValueError(f"codes must be {expected} [N, K], got {codes.dtype} {list(codes.shape)}")
        if not codes.is_contiguous():
            raise ValueError(f"codes must lie row after row, got strides {list(codes.stride())}; call .contiguous()")
        if scale.shape != codes.shape[:1] or scale.dtype != torch.bfloat16 or not scale.is_contiguous():
            raise ValueError(
                f"scale must be bfloat16 [{len(codes)}], one a row, without gaps, got {scale.dtype} "
                f"{list(scale.shape)} with strides {list(scale.stride())}"
            )
        if scale.device != codes.device:
            raise ValueError(f"codes are on {codes.device}, scale on {scale.device}; move one of them")

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def num_bytes(self) -> int:
        """Memory that a multiplication reads: 8 bits a weight, and 16 a row."""
        return self.codes.nbytes + self.scale.nbytes

    def bytes_ahead(self, depth: int, splits: int) -> int:
        """Of each row, how much is fetched before the kernel waits: two steps, or nothing if rows do not lie at
        multiples of 16 bytes, where bulk prefetches begin."""
        aligned = self.shape[1] % 16 == 0 and self.codes.data_ptr() % 16 == 0
        return min(2, self.shape[1] // depth // splits) * depth if aligned else 0
