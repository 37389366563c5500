"""Counters keep their address for as long as a CUDA graph may hold it, and are never first made inside a graph."""

import pytest
import torch

from llama4_kernels import primitives
from llama4_kernels.primitives import GRAPHS, MOST_COUNTERS, counters

CPU = torch.device("cpu")


@pytest.fixture
def on_stream(monkeypatch):
    """`on_stream(7)` has calls come from that stream, `on_stream(GRAPHS)` from a graph that is being captured."""
    monkeypatch.setattr(primitives, "_counters", {})
    return lambda stream: monkeypatch.setattr(primitives, "_stream_of", lambda device: stream)


def test_they_stay_where_they_are(on_stream):
    on_stream(7)
    first = counters(CPU, 3)
    assert not first.any() and len(first) == MOST_COUNTERS
    assert counters(CPU, MOST_COUNTERS).data_ptr() == first.data_ptr()


def test_streams_and_graphs_have_their_own(on_stream):
    places = set()
    for stream in (7, 8, GRAPHS, GRAPHS, 7):
        on_stream(stream)
        places.add(counters(CPU, 3).data_ptr())
    assert len(places) == 3


def test_a_graph_cannot_be_the_first(on_stream):
    on_stream(GRAPHS)
    with pytest.raises(RuntimeError, match="call the kernels once on this device before"):
        counters(CPU, 3)


def test_too_many_programs_are_refused():
    with pytest.raises(ValueError, match="65537 programs would count, at most 65536 can"):
        counters(CPU, MOST_COUNTERS + 1)
