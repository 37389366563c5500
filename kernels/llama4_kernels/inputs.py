"""What every multiplication asks of its input."""

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
