"""The front page's moving parts: numbers from the presets and the registry, and a real run to look into."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO

import torch

from llama4_explained import MAVERICK, SCOUT, load
from llama4_explained.tiny.gallery import ask_about, scene_to_show
from llama4_explained.tiny.pictures import draw_scene
from llama4_explained.weight_count import active_parameters, count_weights, text_parameters

from .reports import Report
from .source_folder import DOCS, SourceFolder

SCENE = 295
RUN = f"""from llama4_explained import load
from llama4_explained.tiny.gallery import ask_about, scene_to_show
from llama4_explained.tiny.pictures import draw_scene

model, processor = load("tiny")
picture = draw_scene(scene_to_show({SCENE}))
messages = ask_about(picture, "What is in the picture?")
"""
EXPLORER = (
    RUN
    + """
from llama4_explained.show.routing_explorer import RoutingExplorer

RoutingExplorer.of(model, processor, messages)
"""
)
STILL = (
    RUN
    + """
from llama4_explained.show.journey import Journey, draw_journey

inputs = processor(messages)
trace = model.trace(inputs["input_ids"], pixel_values=inputs["pixel_values"])
figure = draw_journey(Journey.of(model.config, processor, picture, inputs["input_ids"], trace, "trained weights"))
"""
)
ALT = "The way of one picture and one question through the tiny model, from tiles to the most likely next tokens."


def write_front_page(source: SourceFolder, report: Report) -> None:
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    for name, value in {**numbers(report), **asked(source)}.items():
        page = page.replace(f"%{name}%", value)
    source.write("index.md", page)


def asked(source: SourceFolder) -> dict[str, str]:
    """A picture, what the tiny model was asked about it, and what it answered."""
    model, processor = load("tiny")
    assert processor is not None  # the tiny checkpoint has a tokenizer
    picture, question = draw_scene(scene_to_show(SCENE)), "What is in the picture?"
    answer = "".join(model.stream(**processor(ask_about(picture, question)), processor=processor))
    file = BytesIO()
    picture.save(file, format="png")
    source.write("figures/scene.png", file.getvalue())
    return {"question": question, "answer": answer, "scene_alt": "A drawn scene of coloured shapes on a plain ground."}


def numbers(report: Report) -> dict[str, str]:
    """What `%names%` on the page stand for."""
    has_explorer = find_spec("llama4_explained.show.routing_explorer") is not None
    values = {
        "pieces": str(len(report["pieces"])),
        "mutants": str(len(report["mutants"])),
        "run": code_cell(EXPLORER if has_explorer else STILL),
    }
    for name, config in (("scout", SCOUT), ("maverick", MAVERICK)):
        weights = count_weights(config, None, torch.bfloat16)
        values[f"{name}_total"] = f"{text_parameters(weights) / 1e9:.0f}"
        values[f"{name}_active"] = f"{active_parameters(weights, config.text) / 1e9:.0f}"
        values[f"{name}_experts"] = str(config.text.num_experts)
        values[f"{name}_layers"] = str(config.text.num_layers)
    values["chunk"] = f"{SCOUT.text.chunk_size:,}"
    return values


def code_cell(code: str) -> str:
    """A cell that the build runs; its code is folded, its picture has an alt text."""
    options = f'tags: [hide-input]\nmystnb:\n  image:\n    alt: "{ALT}"'
    return f"```{{code-cell}} ipython3\n---\n{options}\n---\n{code}```"
