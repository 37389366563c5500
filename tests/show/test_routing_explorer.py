import base64
import math
from dataclasses import replace
from functools import cache
from io import BytesIO

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image

from llama4_explained import TINY, Llama4, load
from llama4_explained.errors import UserError
from llama4_explained.show import routing_explorer
from llama4_explained.show.routing_explorer import RoutingExplorer
from llama4_explained.tiny.gallery import ask_about, scene_to_show
from llama4_explained.tiny.interventions import untrained_routers
from llama4_explained.tiny.pictures import draw_scene

QUESTION = "What is in the picture?"


@cache
def tiny():
    return load("tiny")


def picture(number: int) -> Image.Image:
    return draw_scene(scene_to_show(number))


def explorer_of(number: int = 295, **settings) -> RoutingExplorer:
    return RoutingExplorer.of(*tiny(), ask_about(picture(number), QUESTION), **settings)


def arrays(explorer: RoutingExplorer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scores and shares [R, L, T, E], chosen [R, L, T, A]."""
    shape = (len(explorer.routers), len(explorer.layers), len(explorer.tokens), -1)
    scores, shares = (np.frombuffer(data, np.uint8).reshape(shape) for data in (explorer.scores, explorer.shares))
    return scores, shares, np.frombuffer(explorer.chosen, "<u2").reshape(shape)


def test_numbers_are_those_of_the_traces():
    model, processor = tiny()
    inputs = processor(ask_about(picture(295), QUESTION))
    traces = [model.trace(**inputs)]
    with untrained_routers(model, seed=3):
        traces.append(model.trace(**inputs))
    scores, shares, chosen = arrays(explorer_of(untrained_seed=3))
    for router, trace in enumerate(traces):
        for layer in range(8):
            logits = trace[f"layers.{layer}.moe.router_logits"].double()
            assert np.array_equal(chosen[router, layer], trace[f"layers.{layer}.moe.expert_index"].numpy())
            for shown, exact in ((scores, logits.sigmoid()), (shares, logits.softmax(-1))):
                assert np.abs(shown[router, layer] / 255 - exact.numpy()).max() <= 0.5001 / 255
    assert not np.array_equal(chosen[0], chosen[1])


def test_tokens_are_those_of_the_conversation():
    model, processor = tiny()
    explorer = explorer_of()
    ids = processor(ask_about(picture(295), QUESTION))["input_ids"][0].tolist()
    assert explorer.tokens == [processor.decode([token]) for token in ids] and len(ids) == 103
    assert [kind == "image" for kind in explorer.kinds] == [token == model.config.patch_id for token in ids]
    assert {explorer.tokens[i] for i, kind in enumerate(explorer.kinds) if kind == "control"} >= {
        "<|begin_of_text|>", "<|image|>", "<|tile_x_separator|>", "<|eot|>",
    }  # fmt: skip
    assert "".join(text for text, kind in zip(explorer.tokens, explorer.kinds, strict=True) if kind == "text") == (
        "user\n\nWhat is in the picture?assistant\n\n"
    )


@pytest.mark.parametrize(("number", "rows", "columns"), [(292, 1, 1), (293, 1, 2), (294, 2, 1), (295, 2, 2)])
def test_pictures_are_what_the_vision_tower_sees(number, rows, columns):
    explorer = explorer_of(number, untrained_seed=None)
    whole, *rest = explorer.surfaces
    assert (whole["rows"], whole["columns"], len(rest)) == (rows, columns, int(rows * columns > 1))
    pixels = np.asarray(Image.open(BytesIO(explorer.pictures[0])))
    assert np.abs(pixels.astype(int) - np.asarray(picture(number))).max() <= 1, "up to bfloat16's rounding"
    firsts = [first for surface in explorer.surfaces for first in surface["first_tokens"]]
    images = [token for first in firsts for token in range(first, first + explorer.tile_side**2)]
    assert images == [i for i, kind in enumerate(explorer.kinds) if kind == "image"]


def test_several_pictures_keep_their_own_tokens():
    parts = [{"type": "image", "image": picture(292)}, {"type": "image", "image": picture(293)}]
    content = [*parts, {"type": "text", "text": "Which?"}]
    explorer = RoutingExplorer.of(*tiny(), [{"role": "user", "content": content}], untrained_seed=None)
    assert [surface["name"] for surface in explorer.surfaces] == [
        "Picture 1: its one tile", "Picture 2: 1 x 2 tiles", "Picture 2: the global tile",
    ]  # fmt: skip
    assert [Image.open(BytesIO(png)).size for png in explorer.pictures] == [(112, 112), (224, 112), (112, 112)]
    assert sum(len(surface["first_tokens"]) for surface in explorer.surfaces) * 16 == explorer.kinds.count("image")


def test_large_pictures_are_made_smaller():
    tiles = torch.rand(4, 3, 500, 500)
    assert Image.open(BytesIO(routing_explorer._png(tiles, 2, 2))).size == (640, 640)


@cache
def sparse_model() -> Llama4:
    """Two layers of eight have experts, and a token goes to two of four: as Maverick's, and more than Llama 4 does."""
    text = replace(TINY.text, moe_layers=(1, 5), num_experts=4, experts_per_token=2)
    model = Llama4(replace(TINY, text=text))
    model.init_weights(seed=0)
    return model


def test_layers_without_experts_are_left_out():
    explorer = RoutingExplorer.of(sparse_model(), tiny()[1], [{"role": "user", "content": "Hello"}])
    assert explorer.layers == [1, 5] and explorer.layer == 5 and not explorer.surfaces
    scores, _, chosen = arrays(explorer)
    assert scores.shape[1:] == (2, len(explorer.tokens), 4) and chosen.shape[-1] == explorer.experts_per_token == 2
    strongest = np.take_along_axis(scores, chosen.astype(int), axis=-1)
    assert (strongest[..., 0] >= strongest[..., 1]).all() and (strongest.min(-1) >= np.sort(scores)[..., -2]).all()
    assert explorer.token == len(explorer.tokens) - 1
    draw(explorer)


def test_what_cannot_be_shown_is_refused(monkeypatch):
    model, processor = tiny()
    conversation = [{"role": "user", "content": "Hello"}]
    with pytest.raises(UserError, match="not a batch"):
        RoutingExplorer.of(model, processor, [conversation, conversation])
    dense = Llama4(replace(TINY, text=replace(TINY.text, moe_layers=())))
    with pytest.raises(UserError, match="no layer of this model has experts"):
        RoutingExplorer.of(dense, processor, conversation)
    monkeypatch.setattr(routing_explorer, "MOST_TOKENS", 5)
    with pytest.raises(UserError, match="tokens in 8 layers are more than a page can show"):
        RoutingExplorer.of(model, processor, conversation)


def test_only_what_there_is_can_be_looked_at():
    explorer = explorer_of()
    explorer.layer, explorer.token, explorer.router, explorer.scale = 7, 102, "untrained", "softmax"
    explorer.expert = 7
    explorer.expert = None
    for name, value in (
        ("layer", 8),
        ("expert", 8),
        ("token", 103),
        ("token", -1),
        ("router", "best"),
        ("scale", "linear"),
    ):
        with pytest.raises(traitlets.TraitError, match=str(value)):
            setattr(explorer, name, value)
    with pytest.raises(traitlets.TraitError, match="there are trained"):
        explorer_of(untrained_seed=None).router = "untrained"


def test_what_is_shown_can_be_had_as_numbers():
    explorer = explorer_of()
    scores, shares, chosen = arrays(explorer)
    assert all(map(np.array_equal, explorer.numbers(), (scores[0], chosen[0])))
    explorer.router, explorer.scale = "untrained", "softmax"
    assert all(map(np.array_equal, explorer.numbers(), (shares[1], chosen[1])))


def test_it_says_in_short_what_it_is():
    explorer = explorer_of()
    assert repr(explorer) == "RoutingExplorer: 103 tokens, 8 layers, 8 experts"
    assert "103 tokens, 80 of them image tokens" in explorer.alt
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == repr(explorer)
    assert Image.open(BytesIO(base64.b64decode(data["image/png"]))).size == (1100, 750)


def draw(explorer: RoutingExplorer):
    figure = explorer.still()
    figure.canvas.draw()
    return figure


def test_the_still_shows_the_layer_that_is_looked_at():
    explorer = explorer_of()
    explorer.layer = 6
    loads = np.bincount(arrays(explorer)[2][0, 6].flatten(), minlength=8)
    figure = draw(explorer)
    assert "layer 6" in figure.get_suptitle()
    bars = [
        bar.get_height() for axis in figure.axes for bar in axis.patches if axis.get_title("left").startswith("Load")
    ]
    assert bars == loads.tolist() and math.isclose(sum(bars), 103)


def test_a_page_holds_every_number():
    explorer = explorer_of()
    page = explorer.to_html()
    for name in ("scores", "shares", "chosen"):
        assert base64.b64encode(getattr(explorer, name)).decode() in page
    assert all(base64.b64encode(png).decode() in page for png in explorer.pictures)
    assert "http" not in page.replace('"http://www.w3.org/2000/svg"', "").replace("http-equiv", "")
