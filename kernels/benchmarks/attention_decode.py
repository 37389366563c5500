"""One new token over a long cache, at the sizes of a global layer of Llama 4 Scout: 40 query heads, 8 key heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from llama4_kernels.attention import QuantizedKeys, attention_decode, dequantize_keys, quantize_keys

from .tasks import Task, Work
from .timing import cache_bytes, copies_beyond_cache

QUERY_HEADS, HEADS, WIDTH = 40, 8, 128
CONTEXTS = (1024, 8192, 32768, 131072)
BATCHES = (1, 8)
LARGEST_CACHE = 2**31  # bytes of keys, so that all copies fit


def tasks(device: torch.device) -> Iterator[Task]:
    """Ours in 16, 8 and 4 bits, then PyTorch's own, at one row and at eight."""
    for batch in BATCHES:
        contexts = [context for context in CONTEXTS if batch * context * HEADS * WIDTH * 2 <= LARGEST_CACHE]
        for bits in (16, 8, 4):
            name = "ours" if bits == 16 else f"ours, {bits} bits"
            yield Task(f"batch {batch}", name, contexts, lambda batch=batch, bits=bits: _ours(device, batch, bits))
        yield Task(f"batch {batch}", "torch SDPA", contexts, lambda batch=batch: _torch(device, batch))


def _ours(device: torch.device, batch: int, bits: int) -> Callable[[int], Work]:
    def run(query: Tensor, length: Tensor, *parts: Tensor) -> Tensor:
        keys, values = parts if bits == 16 else (QuantizedKeys(*parts[:2]), QuantizedKeys(*parts[2:]))
        return attention_decode(query, keys, values, length)

    def work_of(context: int) -> Work:
        query, length, key, value = _inputs(device, batch, context)
        if bits == 16:
            return _work(run, query, length, (key, value), (key, value), context)
        stored = [quantize_keys(part, bits) for part in (key, value)]
        parts = tuple(tensor for part in stored for tensor in (part.codes, part.scales))
        return _work(run, query, length, parts, tuple(map(dequantize_keys, stored)), context)

    return work_of


def _torch(device: torch.device, batch: int) -> Callable[[int], Work]:
    def run(query: Tensor, length: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query[:, :, None], key, value, enable_gqa=True)[:, :, 0]

    def work_of(context: int) -> Work:
        query, length, key, value = _inputs(device, batch, context)
        return _work(run, query, length, (key, value), (key, value), context)

    return work_of


def _inputs(device: torch.device, batch: int, context: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator(device).manual_seed(context)
    shapes = (batch, QUERY_HEADS, WIDTH), (batch, HEADS, context, WIDTH), (batch, HEADS, context, WIDTH)
    query, key, value = (torch.randn(shape, device=device, generator=draw).bfloat16() for shape in shapes)
    return query, torch.full((batch,), context, dtype=torch.int32, device=device), key, value


def _work(
    run: Callable[..., Tensor], query: Tensor, length: Tensor, parts: tuple[Tensor, ...],
    numbers: tuple[Tensor, ...], context: int,
) -> Work:  # fmt: skip
    """The error is that of the first key head of the first row, against float64 over the numbers that are stored."""
    group, batch = QUERY_HEADS // HEADS, len(query)
    key, value = (part[0, 0].double() for part in numbers)
    exact = (query[0, :group].double() @ key.T * WIDTH**-0.5).softmax(-1) @ value
    found = run(query, length, *parts)[0, :group].double()
    copies = [(query, length, *copy) for copy in copies_beyond_cache(parts, cache_bytes(query.device))]
    return Work(
        call=run,
        copies=copies,
        sizes={"context": context},
        num_bytes=sum(part.nbytes for part in parts) + 2 * query.nbytes,
        flops=2 * 2 * batch * QUERY_HEADS * context * WIDTH,
        rel_error=float(f"{float((found - exact).norm() / exact.norm()):.3g}"),
    )
