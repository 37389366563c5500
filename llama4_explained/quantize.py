"""Which parts of a model are stored in fewer bits, and the modules that take their places.

Quantised are the big matrices of the language half: attention, feed-forwards, routed and shared experts, in the format
that is asked for, and the output head in int8. The rest is small, or decides too much, and stays as it is: routers,
norms, the embedding table, vision tower and projector. A tied output head is the embedding table, so it stays too.

A forward pass turns codes back into numbers just before it multiplies by them, a few rows at a time.

Shapes: N output channels, K input channels, E experts, D hidden, F width of an expert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import UserError
from .fusion import Projector
from .moe import Experts, Router
from .number_formats import (
    PRESETS,
    QuantizationConfig,
    QuantizedTensor,
    dequantize,
    quantize_into,
    round_to_fp8,
    row_blocks,
)
from .vision import VisionModel

Quantization = QuantizationConfig | Mapping[str, Any] | str  # what a user may give: see `QuantizationConfig.of`


def multiply(x: Tensor, weight: QuantizedTensor) -> Tensor:
    """x times the transposed matrix, as `F.linear` does it; fp8 also rounds x, token by token.

    Shapes: x [..., K], weight for [N, K] -> [..., N], of x's type.
    """
    if weight.config.format == "fp8":
        x = round_to_fp8(x)
    parts = [F.linear(x, dequantize(weight[rows], x.dtype)) for rows in row_blocks(weight)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


class QuantizedModule(nn.Module):
    """Keeps matrices in few bits, as the buffers `<name>`, `<name>_scale` and, if the format has one, `<name>_zero`.

    New ones are empty, on the meta device; `quantize_` fills them, or `load_state_dict(..., assign=True)`.
    """

    input_axis_first = False  # whether the original's tensors are [..., K, N]

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], config: QuantizationConfig) -> None:
        """`shapes` of the matrices by name, each [..., N, K]: the input axis comes last, whatever the original's."""
        nn.Module.__init__(self)  # not super(): a subclass of Experts makes none of its parameters
        self.config = config
        self._widths = {name: shape[-1] for name, shape in shapes.items()}
        for name, shape in shapes.items():
            self._store(name, QuantizedTensor.empty(shape, config, "meta"))

    @property
    def matrix_names(self) -> tuple[str, ...]:
        """The names of the original's tensors that are kept here in few bits."""
        return tuple(self._widths)

    def quantized(self, name: str) -> QuantizedTensor:
        """One of the matrices, [..., N, K]."""
        codes, scale, zero = getattr(self, name), getattr(self, f"{name}_scale"), getattr(self, f"{name}_zero", None)
        return QuantizedTensor(codes, scale, zero, self.config, self._widths[name])

    def quantize_(self, name: str, weight: Tensor, device: torch.device | str | None = None) -> None:
        """Fill one matrix from the original's tensor, of the original's shape, on any device.

        `device` is where the codes are computed and will live; None: where the tensor is. At most one expert's matrix
        is moved there at a time, and a few megabytes are held in another type.
        Errors: UserError if the tensor has another shape, or values that are not finite.
        """
        target = QuantizedTensor.empty(self.quantized(name).shape, self.config, device or weight.device)
        rows = weight.mT if self.input_axis_first else weight
        if rows.shape != target.shape:
            *leading, outputs, inputs = target.shape
            expected = [*leading, inputs, outputs] if self.input_axis_first else [*leading, outputs, inputs]
            raise UserError(f"{name} is {list(weight.shape)}; expected {expected}")
        quantize_into(target, rows)
        self._store(name, target)

    def _store(self, name: str, quantized: QuantizedTensor) -> None:
        for suffix, tensor in (("", quantized.codes), ("_scale", quantized.scale), ("_zero", quantized.zero)):
            if tensor is not None:
                self.register_buffer(name + suffix, tensor)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> QuantizedModule:
        """Moves to devices as every module does, but `.to(dtype)` leaves scales and fp8 codes what they are."""
        names = {id(buffer) for buffer in self._buffers.values()}

        def keep_type(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if id(tensor) not in names or moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_type, recurse)

    def extra_repr(self) -> str:
        shapes = (f"{name}={list(self.quantized(name).shape)}" for name in self.matrix_names)
        return f"{', '.join(shapes)}, {self.config}"


class QuantizedLinear(QuantizedModule):
    """A linear map whose matrix is stored in few bits. Inputs may be of any floating type; outputs are of the same.

    Shapes: [..., K] -> [..., N].
    Differs: gradients reach the inputs (not through fp8) but never the weights.
    """

    weight: Tensor
    weight_scale: Tensor

    def __init__(self, in_features: int, out_features: int, config: QuantizationConfig, bias: bool = False) -> None:
        super().__init__({"weight": (out_features, in_features)}, config)
        self.in_features, self.out_features = in_features, out_features
        self.bias = nn.Parameter(torch.empty(out_features, device="meta")) if bias else None

    @classmethod
    def empty_like(cls, module: nn.Linear, config: QuantizationConfig) -> QuantizedLinear:
        """Room for the matrix of `module`, on the meta device; the bias, if any, is `module`'s own."""
        empty = cls(module.in_features, module.out_features, config, bias=module.bias is not None)
        empty.bias = module.bias
        return empty

    def forward(self, x: Tensor) -> Tensor:
        """[..., K] -> [..., N]."""
        product = multiply(x, self.quantized("weight"))
        return product if self.bias is None else product + self.bias


class QuantizedExperts(QuantizedModule, Experts):
    """Routed experts stored in few bits. Only those that got tokens are ever turned back into numbers.

    Shapes: gate_up_proj stands for [E, 2F, D], down_proj for [E, D, F]: out before in, unlike `Experts`, because groups
        run along the input axis and lie together in memory. `quantize_` takes `Experts`' own shapes.
    """

    input_axis_first = True

    def __init__(self, num_experts: int, hidden_size: int, width: int, config: QuantizationConfig) -> None:
        shapes = {"gate_up_proj": (num_experts, 2 * width, hidden_size), "down_proj": (num_experts, hidden_size, width)}
        super().__init__(shapes, config)

    @classmethod
    def empty_like(cls, module: Experts, config: QuantizationConfig) -> QuantizedExperts:
        """Room for the matrices of `module`, on the meta device."""
        num_experts, width, hidden_size = module.down_proj.shape
        return cls(num_experts, hidden_size, width, config)

    def weights(self, experts: list[int]) -> list[tuple[Any, Any]]:
        """The named experts' matrices as codes: gate and up for [2F, D], down for [D, F]."""
        gate_up, down = self.quantized("gate_up_proj"), self.quantized("down_proj")
        return [(gate_up[expert], down[expert]) for expert in experts]

    def multiply(self, x: Tensor, matrix: Any) -> Tensor:
        """x times the transposed matrix, which becomes numbers only now."""
        return multiply(x, matrix)


def plan(model: nn.Module, config: Quantization) -> dict[str, QuantizationConfig]:
    """Which modules of `model` are stored in fewer bits, and how, by path. The model may be on the meta device.

    Errors: UserError if the model is quantised already.
    """
    config = QuantizationConfig.of(config)
    modules = dict(model.named_modules())
    if any(isinstance(module, QuantizedModule) for module in modules.values()):
        raise UserError("the model is quantised already; quantise it from its full weights")
    kept = tuple(f"{path}." for path, module in modules.items() if isinstance(module, VisionModel | Projector | Router))
    tables = {id(module.weight) for module in modules.values() if isinstance(module, nn.Embedding)}
    formats = {}
    for path, module in modules.items():
        if f"{path}.".startswith(kept) or not isinstance(module, nn.Linear | Experts):
            continue
        if isinstance(module, Experts) or id(module.weight) not in tables:
            formats[path] = PRESETS["int8"] if path.split(".")[-1] == "lm_head" else config
    return formats


def empty_like(module: nn.Module, config: QuantizationConfig) -> QuantizedLinear | QuantizedExperts:
    """The module that takes the place of a `Linear` or of `Experts`, empty, on the meta device."""
    if isinstance(module, Experts):
        return QuantizedExperts.empty_like(module, config)
    if isinstance(module, nn.Linear):
        return QuantizedLinear.empty_like(module, config)
    raise TypeError(f"a {type(module).__name__} has no quantised counterpart")


def empty_model_(model: nn.Module, config: Quantization) -> None:
    """Put empty modules, on the meta device, in the places that `plan` names: before loading quantised weights."""
    for path, module_config in plan(model, config).items():
        model.set_submodule(path, empty_like(model.get_submodule(path), module_config))


def quantize_model_(model: nn.Module, config: Quantization) -> None:
    """Quantise a model in place, module by module, so that no more than one is held twice.

    Errors: UserError if the model is quantised already, or has weights that are not finite.
    """
    for path, module_config in plan(model, config).items():
        module = model.get_submodule(path)
        replacement = empty_like(module, module_config)
        for name in replacement.matrix_names:
            replacement.quantize_(name, getattr(module, name).detach())
        model.set_submodule(path, replacement)
