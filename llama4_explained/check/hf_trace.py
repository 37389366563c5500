"""HF's intermediate tensors under the names of our own traces: `layers.3.moe.router_logits`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from torch import Tensor, nn
from transformers.models.llama4 import modeling_llama4 as hf

from ..trace import scope_name

# Where HF has a module whose output is a tensor of our traces: its class or the end of its path -> the name we give.
OUTPUTS = {
    "embed_tokens": "embeddings",
    "shared_expert": "shared_output",
    "norm": "hidden_states",
    "lm_head": "logits",
    "patch_embedding": "patches",
    "layernorm_post": "encoded",
    "vision_adapter": "image_tokens",
    "multi_modal_projector": "projected",
}
LAYERS = (hf.Llama4TextDecoderLayer, hf.Llama4VisionEncoderLayer)


@contextmanager
def captured_attention() -> Iterator[list[dict[str, Any]]]:
    """What HF's eager attention gets and gives: one dict a call, of module, query, key, value and weights.

    Shapes: query [B, H, T, Dh]; key, value [B, Hkv, S, Dh]; weights [B, H, T, S].
    """
    calls: list[dict[str, Any]] = []

    def capturing(original: Any) -> Any:
        def attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
            output, weights = original(module, query, key, value, *args, **kwargs)
            calls.append({"module": module, "query": query, "key": key, "value": value, "weights": weights})
            return output, weights

        return attention

    with ExitStack() as stack:
        for name in ("eager_attention_forward", "vision_eager_attention_forward"):
            stack.enter_context(mock.patch.object(hf, name, capturing(getattr(hf, name))))
        yield calls


@contextmanager
def hf_trace(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record what HF's `model` does inside the `with` block, as `Trace.of` does for ours. Eager attention, no cache."""
    tensors: dict[str, Tensor] = {}
    paths = {module: path for path, module in model.named_modules()}
    moe_paths = {path for path, module in model.named_modules() if hasattr(module, "router")}

    def keep(scope: str, name: str, tensor: Tensor) -> None:
        # Copied, because HF adds the routed experts' output to the shared expert's in place.
        tensors[f"{scope}.{name}".lstrip(".")] = tensor.detach().clone()

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        path = paths[module]
        parent, _, word = path.rpartition(".")
        scope = scope_name(parent, moe_paths)
        if isinstance(module, LAYERS):
            keep(scope_name(path, moe_paths), "output", output[0] if isinstance(output, tuple) else output)
        elif isinstance(module, hf.Llama4Router):
            scores, logits = output
            index = logits.topk(module.top_k, dim=-1).indices
            keep(scope, "router_logits", logits)
            keep(scope, "expert_index", index)
            keep(scope, "router_score", scores.gather(-1, index))
        elif isinstance(module, hf.Llama4TextExperts):
            keep(scope, "routed_output", output.unflatten(0, (module.num_experts, -1)).sum(0))
        elif word == "post_attention_layernorm" and not isinstance(module, nn.LayerNorm):
            keep(scope, "after_attention", inputs[0])
        elif word == "mlp" and isinstance(module, hf.Llama4VisionMLP2):
            keep(scope, "shuffled", inputs[0])
        elif word in OUTPUTS:
            keep("fusion" if word == "multi_modal_projector" else scope, OUTPUTS[word], output)

    def enter_language_model(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep("fusion", "embeddings", kwargs["inputs_embeds"])

    with captured_attention() as calls, ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_hook(leave).remove)
        if isinstance(model, hf.Llama4ForConditionalGeneration):
            hook = model.language_model.register_forward_pre_hook(enter_language_model, with_kwargs=True)
            stack.callback(hook.remove)
        yield tensors
    for call in calls:
        scope = scope_name(paths[call["module"]], moe_paths)
        is_text = isinstance(call["module"], hf.Llama4TextAttention)
        for name in ("query", "key", "value", "weights") if is_text else ("weights",):
            keep(scope, name, call[name])
