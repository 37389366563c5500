"""The stops of a tour through the model: which tensors to look at, in which order, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..config import Llama4Config, TextConfig, VisionConfig


@dataclass(frozen=True)
class Stop:
    """One line of the tour: a tensor's name in the trace, and what it means."""

    name: str
    meaning: str


def itinerary(config: Llama4Config) -> Iterator[tuple[str, list[Stop]]]:
    """The stops inside the model, chapter by chapter: (title, stops).

    In detail it shows the first layer and the first one without positions; of the others the output only.
    """
    text = config.text
    yield "Vision: every tile by itself", _vision(config.vision)
    yield (
        "Fusion: image tokens take their places among the words",
        [
            Stop("embeddings", "token embeddings, placeholders included"),
            Stop("fusion.projected", "image tokens, as wide as the text"),
            Stop("fusion.embeddings", "one sequence; from here on nothing knows which was which"),
        ],
    )
    plan = text.layer_plan
    shown = sorted({0, next((i for i, layer in enumerate(plan) if not layer.uses_rope), 0)})
    for i in shown:
        kind = (
            f"rotates positions, looks inside chunks of {text.chunk_size}"
            if plan[i].uses_rope
            else "no positions, looks everywhere"
        )
        yield f"Layer {i}: {kind}", _layer(text, i)
    yield "The other layers", [
        Stop(f"layers.{i}.output", "RoPE, chunked" if layer.uses_rope else "NoPE, global")
        for i, layer in enumerate(plan) if i not in shown
    ]  # fmt: skip
    yield (
        "Logits: one number for every token of the vocabulary",
        [
            Stop("hidden_states", "after the last norm"),
            Stop("logits", "at every position: what comes next"),
        ],
    )


def _vision(vision: VisionConfig) -> list[Stop]:
    patches = f"{vision.num_patches} patches of {vision.patch_size} x {vision.patch_size} pixels a tile"
    return [
        Stop("vision.patches", patches),
        *(
            Stop(f"vision.layers.{i}.output", f"after vision layer {i}; the class token is the last")
            for i in range(vision.num_layers)
        ),
        Stop("vision.encoded", "after the last norm"),
        Stop("vision.adapter.shuffled", f"pixel shuffle: {vision.shuffle} x {vision.shuffle} patches side by side"),
        Stop("vision.image_tokens", f"{vision.tokens_per_tile} image tokens a tile"),
    ]


def _layer(text: TextConfig, number: int) -> list[Stop]:
    layer, name = text.layer_plan[number], f"layers.{number}"
    stops = [
        Stop(f"{name}.attention.query", "after rotation and norm" if layer.uses_rope else "scaled by position"),
        Stop(f"{name}.attention.key", f"{text.num_kv_heads} heads serve the {text.num_query_heads} of the queries"),
        Stop(f"{name}.attention.weights", "who looks at whom"),
        Stop(f"{name}.after_attention", "added to what came in"),
    ]
    if not layer.uses_rope and text.temperature_tuning:
        stops.insert(0, Stop(f"{name}.attention.temperature", "the queries' scale"))
    if layer.is_moe:
        stops += [
            Stop(f"{name}.moe.router_logits", f"router: a logit for each of {text.num_experts} experts"),
            Stop(f"{name}.moe.expert_index", "the expert it chooses"),
            Stop(f"{name}.moe.router_score", "sigmoid of that logit; scales the expert's input"),
            Stop(f"{name}.moe.routed_output", "what the chosen experts say"),
            Stop(f"{name}.moe.shared_output", "what the shared expert says to every token"),
        ]
    return [*stops, Stop(f"{name}.output", "all added up")]
