"""Named intermediate tensors of a run.

Every part calls `record(name, tensor)` where something worth seeing comes to be. Without a trace that is one look-up
and nothing else. Inside `Trace.of(model)` the tensors are kept, under the name of the module that recorded them:
`trace["layers.3.moe.router_logits"]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase

from torch import Tensor, nn

_active: ContextVar[Trace | None] = ContextVar("active_trace", default=None)


def record(name: str, tensor: Tensor | Callable[[], Tensor]) -> None:
    """Show `tensor` to the active trace, if there is one. A function is called only then (for costly tensors)."""
    trace = _active.get()
    if trace is not None:
        trace.add(name, tensor)


# Checkpoint word -> the field's word in a trace's names; an empty one adds nothing to the name.
WORDS = {
    "language_model": "",
    "model": "",
    "self_attn": "attention",
    "router": "",
    "vision_model": "vision",
    "vision_adapter": "adapter",
    "multi_modal_projector": "fusion",
}


def scope_name(path: str, moe_paths: set[str]) -> str:
    """The trace's name for the module at `path`.

    `language_model.model.layers.3.feed_forward.router` is `layers.3.moe` if `moe_paths` has its feed-forward;
    `vision_model.model.layers.0.self_attn` is `vision.layers.0.attention`.
    """
    words, parts = [], path.split(".") if path else []
    for i, part in enumerate(parts):
        is_moe = part == "feed_forward" and ".".join(parts[: i + 1]) in moe_paths
        words.append("moe" if is_moe else WORDS.get(part, part))
    return ".".join(word for word in words if word)


class Trace(Mapping[str, Tensor]):
    """Tensors by name, in the order in which they came to be. Detached, not copied.

    A name that is recorded again (by a second forward pass) keeps its last tensor.
    """

    def __init__(self, names: tuple[str, ...] = ("*",)) -> None:
        """`names` are patterns such as `layers.*.moe.*`; only matching tensors are computed and kept."""
        self._names = names
        self._tensors: dict[str, Tensor] = {}
        self._scopes = [""]

    @classmethod
    @contextmanager
    def of(cls, model: nn.Module, names: tuple[str, ...] = ("*",)) -> Iterator[Trace]:
        """Record what `model` does inside the `with` block."""
        trace = cls(names)
        moe_paths = {path for path, module in model.named_modules() if hasattr(module, "router")}
        with ExitStack() as stack:
            for path, module in model.named_modules():
                enter, leave = trace._hooks(scope_name(path, moe_paths))
                stack.callback(module.register_forward_pre_hook(enter).remove)
                stack.callback(module.register_forward_hook(leave, always_call=True).remove)
            token = _active.set(trace)
            stack.callback(_active.reset, token)
            yield trace

    def add(self, name: str, tensor: Tensor | Callable[[], Tensor]) -> None:
        """Keep `tensor` under the scope of the module that is running, if its name is asked for."""
        name = f"{self._scopes[-1]}.{name}".lstrip(".")
        if any(fnmatchcase(name, pattern) for pattern in self._names):
            self._tensors[name] = (tensor if isinstance(tensor, Tensor) else tensor()).detach()

    def _hooks(self, scope: str) -> tuple[Callable[..., None], Callable[..., None]]:
        def enter(module: nn.Module, inputs: object) -> None:
            self._scopes.append(scope)

        def leave(module: nn.Module, inputs: object, output: object) -> None:
            self._scopes.pop()

        return enter, leave

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._tensors[name]
        except KeyError:
            raise KeyError(f"no tensor {name!r} in this trace; its names: {', '.join(self._tensors)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        lines = [f"  {name}: {list(tensor.shape)} {str(tensor.dtype)[6:]}" for name, tensor in self.items()]
        return "\n".join([f"Trace of {len(self)} tensors", *lines])
