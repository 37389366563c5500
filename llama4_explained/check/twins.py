"""Twins: Hugging Face's Llama 4 with random weights, and ours around the very same tensors."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, overload

import torch
import torch.nn.functional as F
import transformers
from torch import nn
from torch.overrides import TorchFunctionMode

from ..config import Llama4Config, TextConfig
from ..model import Llama4, Llama4Text
from .hf_versions import mend

Module = TypeVar("Module", bound=nn.Module)
mend()


def hf_config(config: Llama4Config | TextConfig, attn_implementation: str = "eager") -> Any:
    """HF's config object for ours.

    Source: HF `Llama4Config` and `Llama4TextConfig`.
    Differs: no chunks (`chunk_size` None) become one chunk as long as the context, because newer HF fails on null.
    """
    kind: Any = transformers.Llama4Config if isinstance(config, Llama4Config) else transformers.Llama4TextConfig
    arguments = {name: value for name, value in config.to_hf_dict().items() if name != "model_type"}
    with quiet():
        return kind(**arguments, attn_implementation=attn_implementation)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, HF gives no warnings: that Scout's own RoPE factors, low = high = 1, ought to differ, for one."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)


def hf_twin(
    config: Llama4Config | TextConfig,
    seed: int = 0,
    std: float = 0.1,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str = "eager",
) -> Any:
    """HF's model on the CPU, ready to run, with random weights that let every mechanism show.

    Units:  std of the normal distribution of weights and biases; norm weights are drawn around 1. With HF's own 0.02 at
        these widths several mechanisms would hide below rounding, and with zero biases or unit norms some vanish.
    Source: HF `Llama4ForConditionalGeneration`, or `Llama4ForCausalLM` for a `TextConfig`.
    """
    kind = (
        transformers.Llama4ForConditionalGeneration
        if isinstance(config, Llama4Config)
        else transformers.Llama4ForCausalLM
    )
    with quiet(), torch.device("meta"):  # no time for initial values that are overwritten
        model = kind(hf_config(config, attn_implementation))
    model.to_empty(device="cpu")
    model.tie_weights()
    for path, module in list(model.named_modules()):
        if next(module.buffers(recurse=False), None) is not None:  # RoPE tables, which no state dict has
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, type(module)(module.config))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name and name.endswith(".weight")
            parameter.normal_(float(is_norm), std, generator=generator)
            parameter.data = parameter.data.to(dtype)
    return model.eval()


@overload
def pair(config: Llama4Config, seed: int = 0, std: float = 0.1, **settings: Any) -> tuple[Llama4, Any]: ...
@overload
def pair(config: TextConfig, seed: int = 0, std: float = 0.1, **settings: Any) -> tuple[Llama4Text, Any]: ...
def pair(
    config: Llama4Config | TextConfig, seed: int = 0, std: float = 0.1, **settings: Any
) -> tuple[Llama4 | Llama4Text, Any]:
    """Our model and its HF twin, built around the same tensors: memory for one, and no copy that could differ.

    Arguments as for `hf_twin`.
    """
    theirs = hf_twin(config, seed, std, **settings)
    with torch.device("meta"):
        ours = Llama4(config) if isinstance(config, Llama4Config) else Llama4Text(config)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    text = ours.language_model if isinstance(ours, Llama4) else ours
    if ours.text_config.tie_embeddings:  # loading makes two parameters of the one tensor; gradients must meet in one
        text.lm_head.weight = text.model.embed_tokens.weight
    return ours.eval(), theirs


def double(model: Module) -> Module:
    """A copy that computes in float64, also where HF asks for float32, to see how far rounding alone moves a result.

    `in_float64` does the same without a copy and for any part of a model, but gives no gradients. RoPE tables stay as
    they are: HF's vision tower has a complex one, which `model.to(dtype)` would silently ruin.
    """
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.double()
    mode = _Widening((), torch.float64)
    model.register_forward_pre_hook(lambda module, inputs: mode.__enter__() and None)
    model.register_forward_hook(lambda module, inputs, output: mode.__exit__(None, None, None), always_call=True)
    return model


def in_float64(model: nn.Module) -> AbstractContextManager[None]:
    """Inside, HF's `model` or any part of it computes in float64 from inputs in float64, its norms and rotations too.

    No weight is changed: each is widened for the one operation that uses it, so even a large model needs little room.
    No gradients: `double` is for those.
    """
    return widened(model, torch.float64)


@contextmanager
def widened(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Inside, HF's `model` computes in a wider `dtype` than that of its weights, from inputs in that dtype."""
    with torch.no_grad(), _Widening(model.parameters(), dtype):
        yield


class _Widening(TorchFunctionMode):
    """Widens the weights of every operation that multiplies with one."""

    def __init__(self, parameters: Iterable[nn.Parameter], dtype: torch.dtype) -> None:
        super().__init__()
        self._parameters, self._dtype = set(parameters), dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.float and self._dtype == torch.float64:
            # HF's norms, rotations and sigmoids ask for float32 to gain precision; here that would lose it.
            return torch.Tensor.double(*args)
        if func is torch.bmm and args[1] in self._parameters:
            return torch.stack([self._expert(x, weight) for x, weight in zip(*args, strict=True)])
        if func is F.embedding:
            return func(*args, **kwargs).to(self._dtype)
        if func in (F.linear, F.layer_norm):
            args = [self._widen(x) for x in args]
            kwargs = {name: self._widen(x) for name, x in kwargs.items()}
        return func(*args, **kwargs)

    def _expert(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """One expert at a time, and without the rows of zeros that HF gives it for tokens that chose another."""
        chosen = x.any(-1)
        outputs = x.new_zeros(len(x), weight.shape[-1])
        outputs[chosen] = x[chosen] @ weight.to(self._dtype)
        return outputs

    def _widen(self, x: Any) -> Any:
        return x.to(self._dtype) if isinstance(x, nn.Parameter) and x in self._parameters else x
