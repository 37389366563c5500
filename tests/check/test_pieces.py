"""Every piece equals HF on the tiny setup, and the registry is complete."""

import importlib
import pkgutil

import pytest
import torch
from torch import nn

import llama4_explained
from llama4_explained.check.compare import Check
from llama4_explained.check.pieces import LESSONS, PIECES
from llama4_explained.check.setups import make_setup
from llama4_explained.errors import UserError
from tiny_checks import check_of, tiny


@pytest.mark.parametrize("name", PIECES)
def test_equals_hf(name):
    result = check_of(name).result()
    assert result.passed, result
    assert (result.tolerance == 0) if PIECES[name].exact else (0 < result.tolerance <= 50 * result.floor)


@pytest.mark.parametrize("name", [name for name, piece in PIECES.items() if not piece.exact])
def test_the_floor_is_rounding(name):
    """A floor that a flipped decision had blown up would let every mistake pass."""
    reference = check_of(name).reference
    for key, floor in reference.floors.items():
        limit = 1e-3 if key == "far" else 1e-5  # an angle of 100,000 radians has few digits left
        assert floor <= limit * float(reference.expected[key].abs().max()), key


@pytest.mark.parametrize("name", PIECES)
def test_names_are_real(name):
    piece = PIECES[name]
    assert piece.lesson in LESSONS
    assert piece.what.endswith(".")
    for dotted in (piece.our_name, piece.their_name):
        assert resolve(dotted) is not None
    assert resolve(piece.our_name) is piece.ours


def resolve(dotted):
    parts = dotted.split(".")
    for i in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            value = getattr(value, part)
        return value
    raise AssertionError(f"{dotted} does not exist")


def test_every_module_class_is_a_piece():
    classes = set()
    for info in pkgutil.walk_packages(llama4_explained.__path__, "llama4_explained."):
        # Of `tiny`, modules train a model and are no part of it.
        if info.name.startswith(tuple(f"llama4_explained.{name}" for name in ("check", "tiny", "__main__"))):
            continue
        module = importlib.import_module(info.name)
        classes |= {
            value for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
            and not value.__name__.startswith("_") and not value.__name__.startswith("Quantized")
        }  # fmt: skip
    assert classes - {piece.ours for piece in PIECES.values()} == set()


def test_lessons_in_order():
    lessons = [piece.lesson for piece in PIECES.values()]
    assert lessons == sorted(lessons)
    # Other lessons have oracles of their own: quantisation, kernels, a whole Scout.
    assert set(LESSONS) - set(lessons) == {"13_quantization", "14_triton_matmul", "15_scout_on_one_gpu"}


def test_tiny_shows_every_mechanism():
    setup = tiny()
    text = setup.text
    assert setup.num_tokens > 3 * text.chunk_size and setup.num_tokens % 2
    assert setup.num_tokens > 3 * text.floor_scale
    assert {spec.uses_rope for spec in text.layer_plan} == {spec.is_moe for spec in text.layer_plan} == {True, False}
    assert text.num_query_heads > text.num_kv_heads > 1
    assert text.qk_norm and text.temperature_tuning and text.rope_scaling
    assert len(set(setup.tiles)) > 1
    widths = [text.hidden_size, text.expert_width, text.dense_width, 2 * text.expert_width, 2 * text.dense_width]
    assert len(set(widths)) == len(widths)
    input_ids, pixel_values = setup.with_images()
    assert input_ids.shape[1] > 3 * text.chunk_size
    trace = setup.ours.trace(input_ids, pixel_values=pixel_values, names=("*.expert_index",))
    chosen = torch.cat([index.flatten() for index in trace.values()])
    assert chosen.unique().tolist() == list(range(text.num_experts))


def test_router_piece_chooses_every_expert():
    check = check_of("router.decisions")
    assert check.reference.expected["output"].unique().tolist() == list(range(tiny().text.num_experts))


def test_inputs_do_not_depend_on_other_pieces():
    setup = tiny()
    assert torch.equal(setup.of("moe").normal(3), setup.of("moe").normal(3))
    assert not torch.equal(setup.of("moe").normal(3), setup.of("router").normal(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_configs_equal_hf(seed, dtype):
    setup = make_setup("random", seed, dtype)
    checks = [check for piece in PIECES.values() if (check := Check.of(piece, setup)) is not None]
    assert len(checks) >= 25
    for check in checks:
        result = check.result()
        assert result.passed, result


def test_bfloat16_equals_hf_as_closely_as_hf_itself():
    setup = make_setup("tiny", dtype=torch.bfloat16)
    checks = [check for piece in PIECES.values() if (check := Check.of(piece, setup)) is not None]
    names = {check.piece.name for check in checks}
    assert names == {name for name, piece in PIECES.items() if not piece.float32_only}
    assert {"router.decisions", "model.images", "cache.decode"} <= names
    for check in checks:
        result = check.result()
        assert result.passed, result


def test_an_unknown_setup_is_one_line():
    with pytest.raises(UserError, match="no setup 'huge'; choose from tiny, scout-slice, random"):
        make_setup("huge")
