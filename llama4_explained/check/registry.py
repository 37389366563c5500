"""What a piece is: one idea of Llama 4, its name, its lesson, and how to run it in both implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .setups import Setup

LESSONS = (
    "01_tokens_and_chat", "02_embeddings_and_norms", "03_attention", "04_rope", "05_irope", "06_feed_forward", "07_moe",
    "08_kv_cache", "09_tiles_and_patches", "10_vision_encoder", "11_early_fusion", "12_generation", "13_quantization",
    "14_triton_matmul", "15_scout_on_one_gpu", "16_training",
)  # fmt: skip

Outputs = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One comparison: `ours(our_model, *inputs)` and `theirs(hf_model, *inputs)` must give the same.

    Floating-point inputs are given in float32 and cast to the type that is checked. `theirs_wide` runs HF in float64
    where `in_float64` cannot, because gradients are wanted.
    """

    ours: Callable[..., Outputs]
    theirs: Callable[..., Outputs]
    inputs: tuple[Any, ...] = ()
    theirs_wide: Callable[..., Outputs] | None = None


@dataclass(frozen=True)
class Piece:
    """One entry of the registry.

    `exact` pieces move data or count; there is nothing to round, so they must be equal bit for bit. `float32_only` are
    those that compute in float32 whatever the model's type, and those that in bfloat16 would follow chance: gradients,
    generated tokens, rows that HF runs one by one and so without the same decisions of routers.
    """

    name: str
    lesson: str
    ours: Any
    theirs: str
    build: Callable[[Setup], Case | None]  # None: the config has no such piece
    exact: bool = False
    float32_only: bool = False

    @property
    def our_name(self) -> str:
        """Dotted name of our class or function."""
        return f"{self.ours.__module__}.{self.ours.__qualname__}"

    @property
    def their_name(self) -> str:
        """Dotted name of HF's counterpart (Meta's for the tokenizer, PyTorch's where HF uses that)."""
        is_whole = self.theirs.partition(".")[0] in ("transformers", "llama_models", "torch")
        return self.theirs if is_whole else f"{MODELING}.{self.theirs}"

    @property
    def what(self) -> str:
        """The first line of what `build` says about itself."""
        return (self.build.__doc__ or "").strip().partition("\n")[0]


MODELING = "transformers.models.llama4.modeling_llama4"
REGISTERED: list[Piece] = []  # `pieces.PIECES` is the ordered registry


def piece(name: str, lesson: str, ours: Any, theirs: str, exact: bool = False, float32_only: bool = False) -> Any:
    """Register the decorated `build` function as the piece `name`."""

    def register(build: Callable[[Setup], Case | None]) -> Callable[[Setup], Case | None]:
        REGISTERED.append(Piece(name, lesson, ours, theirs, build, exact, float32_only))
        return build

    return register
