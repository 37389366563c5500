"""Exercises of lesson 14: kernels, masks, words of codes, and the shortest time that a product can take.

Shapes: M tokens, N rows of weights, K inputs, G groups of 128 along K, L places of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from llama4_kernels.matmul_int4 import pack_int4

from ..number_formats import QuantizationConfig, QuantizedTensor
from .exercise import Exercise, Misconception

GROUP = 128

# 1. Where does a code lie?


def _place(k: int) -> tuple[int, int, int]:
    """Pack a row with a single 1 in it, and look where that is."""
    codes = torch.zeros(1, k + GROUP - k % GROUP, dtype=torch.uint8)
    codes[0, k] = 1
    scale = torch.ones(1, codes.shape[1] // GROUP, dtype=torch.bfloat16)
    words = pack_int4(codes, scale).words[0, :, 0]  # [G, 32]: the first row of the first tile
    group, word = words.nonzero()[0].tolist()
    return group, word, int(words[group, word]).bit_length() - 1


def _ks() -> Iterator[Sequence[Any]]:
    yield from ((5,), (37,), (70,), (127,), (128,), (300,), (1000,))


place = Exercise(
    "place of a code",
    "`pack_int4` puts it",
    _place,
    _ks,
    "Which group of 128 is it? Within the group, word j holds j, j + 32, j + 64, j + 96, four bits each, lowest first.",
    (
        Misconception(
            "neighbours share a word",
            lambda k: (k // GROUP, k % GROUP // 4, k % 4 * 4),
            "You put k = 0, 1, 2, 3 into word 0. What does one mask over 32 words then give: neighbours?",
        ),
        Misconception(
            "the first code is in the highest bits",
            lambda k: (k // GROUP, k % 32, 12 - k % GROUP // 32 * 4),
            "Group and word are right. Are the first codes of a group in the highest four bits, or in the lowest?",
        ),
        Misconception(
            "places are counted in codes",
            lambda k: (k // GROUP, k % 32, k % GROUP // 32),
            "That is which of the word's four codes it is. How far do you shift to bring it to the lowest bits?",
        ),
        Misconception(
            "words are counted along the row",
            lambda k: (k // GROUP, k // GROUP * 32 + k % 32, k % GROUP // 32 * 4),
            "You count words from the beginning of the row. Each group counts its 32 words from 0.",
        ),
    ),
)


# 2. A kernel with a mask


def _block_maxima(x: Tensor, block: int) -> Tensor:
    return F.max_pool1d(x[None], block, block, ceil_mode=True)[0]


def _with_fill(fill: float) -> Callable[[Tensor, int], Tensor]:
    """An answer: what lies beyond the end counts as `fill`."""
    return lambda x, block: F.pad(x, (0, -len(x) % block), value=fill).view(-1, block).amax(-1)


def _moved_back(x: Tensor, block: int) -> Tensor:
    starts = (min(start, max(len(x) - block, 0)) for start in range(0, len(x), block))
    return torch.stack([x[start : start + block].max() for start in starts])


def _vectors() -> Iterator[Sequence[Any]]:
    """Negative numbers, blocks of which go down, so that whoever looks into the block before finds a larger one."""
    for seed, (length, block, unit) in enumerate(((3, 4, 1), (8, 4, 1), (10, 4, 1), (1000, 128, 1e30))):
        noise = torch.rand(length, generator=torch.Generator().manual_seed(seed))
        yield unit * (-1 - torch.arange(length) // block - noise), block


maxima = Exercise(
    "block maxima",
    "PyTorch's `max_pool1d`",
    _block_maxima,
    _vectors,
    "Program i looks at places i * block to i * block + block - 1, as far as they exist. One maximum for each program.",
    (
        Misconception(
            "what is masked is 0",
            _with_fill(0.0),
            "A 0 that no one stored is the largest number of your last block. What changes no maximum?",
        ),
        Misconception(
            "the last, short block has no program",
            lambda x, block: x[: len(x) // block * block].view(-1, block).amax(-1),
            "Numbers at the end are looked at by no program. How many programs does a grid need, if a block is short?",
        ),
        Misconception(
            "all programs read the first block",
            lambda x, block: x[:block].max().repeat(-(-len(x) // block)),
            "Every program gives the same. What tells one program from another?",
        ),
        Misconception(
            "the last block is moved back",
            _moved_back,
            "Your last block is full because it looks at numbers of the block before. Mask what lies beyond the end.",
        ),
    ),
)


# 3. A product in tiles, with the masks that it needs


def _ends_with_memory(x: Tensor, w: Tensor, tile: int) -> Tensor:
    """The mistake of the lesson's `hasty_matmul`: only what lies beyond the whole matrix is masked."""
    width = x.shape[1]
    k = torch.arange(-(-width // tile) * tile)

    def rows(matrix: Tensor) -> Tensor:
        return F.pad(matrix.flatten(), (0, len(k)))[torch.arange(len(matrix))[:, None] * width + k]

    return rows(x) @ rows(w).T


def _without_the_edges(x: Tensor, w: Tensor, tile: int) -> Tensor:
    product = torch.zeros(len(x), len(w))
    tokens, rows = len(x) // tile * tile, len(w) // tile * tile
    product[:tokens, :rows] = x[:tokens] @ w[:rows].T
    return product


def _matrices() -> Iterator[Sequence[Any]]:
    for seed, (tokens, rows, width, tile) in enumerate(((4, 8, 4, 4), (2, 3, 3, 2), (3, 5, 6, 4), (7, 33, 50, 16))):
        generator = torch.Generator().manual_seed(seed)
        yield torch.randn(tokens, width, generator=generator), torch.randn(rows, width, generator=generator), tile


tiled = Exercise(
    "careful product",
    "`x @ w.T`",
    lambda x, w, tile: x @ w.T,
    _matrices,
    "A place counts only if its token, or row, exists, and its k too. Sums go over all steps, the last, short one too.",
    (
        Misconception(
            "memory ends where a row ends",
            _ends_with_memory,
            "At the end of a row your product goes on with the next row. What must be masked along k?",
        ),
        Misconception(
            "the last step is left out",
            lambda x, w, tile: x[:, : x.shape[1] // tile * tile] @ w[:, : x.shape[1] // tile * tile].T,
            "Inputs at the end of K are in no sum. How many steps are there, if the last one is short?",
        ),
        Misconception(
            "tiles at the edge have no program",
            _without_the_edges,
            "Outputs at the edges stay 0. Tiles that are partly inside need programs too, and masks where they store.",
        ),
        Misconception(
            "the result lies as the tiles do",
            lambda x, w, tile: w @ x.T,
            "Tiles are [rows, tokens], but the result is [tokens, rows]: at which place does out[m, n] lie in memory?",
        ),
    ),
)


# 4. Two bits: eight codes in a word


def _pack(codes: Tensor, bits: int = 2, order: Sequence[int] = range(8)) -> Tensor:
    """[N, K] -> [N, G, 16]: word j holds j, j + 16, j + 32, ..."""
    eights = codes.unflatten(-1, (-1, 8, 16)).int()  # [N, G, 8, 16]
    return sum((eights[..., i, :] << bits * place for i, place in enumerate(order)), torch.tensor(0))


def _pack_neighbours(codes: Tensor) -> Tensor:
    return _pack(codes.unflatten(-1, (-1, 16, 8)).mT.flatten(-3))


def _pack_across_groups(codes: Tensor) -> Tensor:
    return _pack(codes.unflatten(-1, (8, -1, 16)).transpose(1, 2).flatten(1))


def _two_bit_codes() -> Iterator[Sequence[Any]]:
    for seed, (rows, groups) in enumerate(((1, 1), (2, 2), (3, 5))):
        generator = torch.Generator().manual_seed(seed)
        yield (torch.randint(4, (rows, groups * GROUP), generator=generator, dtype=torch.uint8),)


two_bits = Exercise(
    "two bits",
    "the definition above says",
    _pack,
    _two_bit_codes,
    "A group of 128 makes 16 words. Word j takes the codes k = j, j + 16, ..., j + 112 of its group, two bits each.",
    (
        Misconception(
            "neighbours share a word",
            _pack_neighbours,
            "Your word 0 holds k = 0 to 7. Which k should one mask over the 16 words of a group give?",
        ),
        Misconception(
            "the first code is in the highest bits",
            lambda codes: _pack(codes, order=range(7, -1, -1)),
            "The right codes in each word, in the other direction. Which bits hold the smallest k?",
        ),
        Misconception(
            "a code takes four bits",
            lambda codes: _pack(codes, bits=4),
            "Your words need 32 bits. How wide is a code now, and how far must each be shifted?",
        ),
        Misconception(
            "the stride is a part of the row",
            _pack_across_groups,
            "Right for one group. With more, a word of yours holds codes of several groups, which have several scales.",
        ),
        Misconception(
            "a group has 32 words",
            lambda codes: torch.cat((_pack(codes, bits=4) & 0xFFFF, _pack(codes, bits=4) >> 16), -1),
            "With 32 words of 16 bits, a group takes 512 bits, as in int4. How many words do 128 codes of 2 bits fill?",
        ),
    ),
)


# 5. The shortest time of a product


def _weight_bytes(rows: int, columns: int, bits: int) -> int:
    return QuantizedTensor.empty((rows, columns), QuantizationConfig(f"int{bits}", GROUP), "meta").num_bytes


def _memory(tokens: int, rows: int, columns: int, bits: int, bytes_per_second: float, *_: float) -> float:
    return (_weight_bytes(rows, columns, bits) + 2 * tokens * (rows + columns)) / bytes_per_second * 1e6


def _arithmetic(tokens: int, rows: int, columns: int, bits: int, rate: float, operations_per_second: float) -> float:
    return 2 * tokens * rows * columns / operations_per_second * 1e6


def _microseconds(*sizes: Any) -> float:
    return max(_memory(*sizes), _arithmetic(*sizes))


def _products() -> Iterator[Sequence[Any]]:
    yield from (
        (1, 256, 128, 8, 1e9, 1e12),
        (16, 16384, 5120, 4, 3e12, 8e14),
        (4096, 5120, 8192, 4, 3e12, 8e14),
        (2048, 256, 256, 2, 1e12, 1e13),
    )


def _memory_of(count: Callable[..., float]) -> Callable[..., float]:
    """An answer that counts other bytes; the arithmetic is right."""
    return lambda *sizes: max(count(*sizes[:4]) / sizes[4] * 1e6, _arithmetic(*sizes))


shortest = Exercise(
    "shortest time",
    "the package counts bytes",
    _microseconds,
    _products,
    "Two times: one to read weights and x and to write the result, one for 2 * M * N * K operations. Which one counts?",
    (
        Misconception("first reading, then computing", lambda *sizes: _memory(*sizes) + _arithmetic(*sizes),
                      "You add the two times. A GPU reads the next tile while it multiplies this one."),
        Misconception("scales take no room",
                      _memory_of(lambda m, n, k, bits: n * k * bits / 8 + 2 * m * (n + k)),
                      "The codes are there, and x and the result. What else of a matrix in groups is read?"),
        Misconception("only weights are moved", _memory_of(lambda m, n, k, bits: _weight_bytes(n, k, bits)),
                      "Weights are not all: x is read, and the result is written, two bytes a number."),
        Misconception("every token reads the weights",
                      _memory_of(lambda m, n, k, bits: m * _weight_bytes(n, k, bits) + 2 * m * (n + k)),
                      "Right for one token. With more: can a tile of weights, once read, serve all of them?"),
        Misconception("memory always decides", _memory,
                      "Here are many tokens for few weights. How long does the arithmetic take?"),
        Misconception("a product and a sum are one operation",
                      lambda *sizes: max(_memory(*sizes), _arithmetic(*sizes) / 2),
                      "Each weight is multiplied and the product is added. How many operations is that?"),
        Misconception("seconds", lambda *sizes: _microseconds(*sizes) / 1e6,
                      "That is right in seconds. The question is for microseconds."),
    ),
)  # fmt: skip
