from dataclasses import replace

from llama4_explained import MAVERICK, TINY
from llama4_explained.show.itinerary import itinerary


def names(config):
    return [stop.name for _, stops in itinerary(config) for stop in stops]


def test_every_layer_is_visited_once():
    for config in (TINY, MAVERICK):
        visited = names(config)
        assert len(visited) == len(set(visited))
        outputs = [name for name in visited if name.startswith("layers.") and name.count(".") == 2 and "output" in name]
        assert sorted(outputs) == sorted(f"layers.{i}.output" for i in range(config.text.num_layers))


def test_stops_are_those_that_the_model_has():
    assert "layers.0.moe.router_logits" in names(TINY) and "layers.3.attention.temperature" in names(TINY)
    dense = replace(TINY, text=replace(TINY.text, moe_layers=(1,), temperature_tuning=False))
    assert not [name for name in names(dense) if ".moe." in name or "temperature" in name]
