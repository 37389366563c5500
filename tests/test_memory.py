import dataclasses
import json

import pytest
import torch

from llama4_explained import MAVERICK, SCOUT, TINY, KVCache, Llama4, Llama4Text, UserError, cli, generate, memory
from llama4_explained.checkpoint import QUANTIZATION_KEY
from llama4_explained.memory import plan
from llama4_explained.memory_table import count
from llama4_explained.number_formats import PRESETS
from llama4_explained.quantize import quantize_model_
from oracle import WHOLE, random_ids
from peak_memory import peak_bytes

GIB = 2**30


def part(made, name):
    return next(each for each in made.weights if each.part == name)


# Keys and values


def test_scouts_cache_grows_in_twelve_layers_only():
    """Per token 2 * 8 heads * 128 channels * 2 bytes in a layer; 36 layers hold one chunk of 8192 at most."""
    short, long = plan("scout", context=100_000), plan("scout", context=1_000_000)
    global_layers, chunked_layers = long.kv_cache
    assert (global_layers.kind, global_layers.layers, global_layers.tokens) == ("global", 12, 1_000_000)
    assert (chunked_layers.kind, chunked_layers.layers, chunked_layers.tokens) == ("chunked", 36, 8192)
    assert long.kv_bytes - short.kv_bytes == 900_000 * 49_152
    assert chunked_layers.num_bytes == 36 * 8192 * 4096 == 1_207_959_552
    for context in (1000, 8192):  # until then, as if nothing were chunked
        assert plan("scout", context=context).kv_bytes == context * 196_608
    assert plan("scout", context=8193).kv_bytes == 8192 * 196_608 + 49_152


def test_cache_of_several_rows_in_another_type():
    one, four = plan("scout", context=10_000), plan("scout", context=10_000, batch=4, dtype="float32")
    assert four.kv_bytes == 8 * one.kv_bytes


@torch.no_grad()
@pytest.mark.parametrize("context", [40, 64, 127, 150])
def test_a_real_cache_holds_what_the_plan_says(context):
    """Chunked layers reach one chunk, and never pass it, while a text grows token by token.

    Layers without chunks grow by doubling, so they may hold twice what they need.
    """
    config = TINY.text
    model = Llama4Text(config)
    model.init_weights(seed=0)
    cache, most = KVCache(config), 0
    for token in random_ids(2, context).split(1, dim=1):
        model(token, cache=cache)
        chunked = [layer for layer, spec in zip(cache.layers, config.layer_plan, strict=True) if spec.chunk_size]
        most = max(most, sum(layer.num_bytes for layer in chunked))
    global_layers, _ = plan(config, context=context, batch=2, dtype="float32").kv_cache
    _, full_chunk = plan(config, context=config.chunk_size, batch=2, dtype="float32").kv_cache
    unlimited = [layer for layer, spec in zip(cache.layers, config.layer_plan, strict=True) if not spec.chunk_size]
    assert global_layers.num_bytes <= sum(layer.num_bytes for layer in unlimited) <= 2 * global_layers.num_bytes
    assert most <= full_chunk.num_bytes
    assert most == full_chunk.num_bytes or context < config.chunk_size


def test_without_chunks_every_layer_is_global():
    made = plan(dataclasses.replace(TINY.text, chunk_size=None), context=100)
    assert [(kv.kind, kv.layers, kv.tokens) for kv in made.kv_cache] == [("global", 8, 100)]


# The whole


@pytest.mark.parametrize(("quantize", "needed"), [("int4", 1), ("fp8", 2), (None, 3)])
def test_how_many_h100_hold_scout(quantize, needed):
    assert plan("scout", quantize).devices_needed()["NVIDIA H100 80 GB"] == needed


def test_totals_add_up():
    made = plan("scout", "int4", context=1_000_000, batch=4)
    assert made.parameters == sum(each.parameters for each in made.weights)
    assert made.weight_bytes == sum(each.num_bytes for each in made.weights)
    assert made.kv_bytes == 4 * (12 * 1_000_000 + 36 * 8192) * 4096
    assert made.activation_bytes == max(each.num_bytes for each in made.activations)
    assert made.total_bytes == made.weight_bytes + made.kv_bytes + made.activation_bytes


def test_vision_is_left_out_on_request():
    whole, text = plan("maverick", "int4"), plan("maverick", "int4", vision=False)
    assert (
        whole.weight_bytes - text.weight_bytes == part(whole, "vision").num_bytes + part(whole, "projector").num_bytes
    )
    assert text.weights == plan(MAVERICK.text, "int4").weights == whole.weights[:-2]
    assert (whole.tiles, text.tiles) == (17, 0)


@pytest.mark.parametrize("quantize", [None, "int4", "fp8"])
def test_generating_holds_no_more_than_planned_and_not_much_less(quantize):
    """A real run on the CPU; the cache is counted as it is, its spare room included."""
    model = Llama4(WHOLE)
    model.init_weights(seed=0)
    if quantize:
        quantize_model_(model, quantize)
    ids = random_ids(2, 150)
    ids[:, 10 : 10 + 2 * WHOLE.vision.tokens_per_tile] = WHOLE.patch_id
    tiles = torch.zeros(4, 3, WHOLE.vision.image_size, WHOLE.vision.image_size)
    cache = KVCache(WHOLE.text)
    peak = peak_bytes(
        lambda: [*generate.generate_tokens(model, ids, pixel_values=tiles, max_new_tokens=1, cache=cache, stop_ids=())]
    )
    made = plan(WHOLE, quantize, context=150, batch=2, dtype="float32", tiles=2)
    assert 0.4 < (peak - cache.num_bytes) / made.activation_bytes < 1.02


def test_image_tokens_are_held_while_the_prompt_is_read():
    """17 tiles of 144 tokens, 5120 wide, in two bytes, for each of 3 rows."""
    read = [plan("scout", batch=3, tiles=tiles).activations[-1].num_bytes for tiles in (0, 17)]
    assert read[1] - read[0] == 3 * 17 * 144 * 5120 * 2


# What it is given


def test_presets_and_configs_are_the_same():
    for name, config in {"scout": SCOUT, "Maverick": MAVERICK, "TINY": TINY}.items():
        assert plan(name, "int8") == plan(config, "int8")
    assert plan(SCOUT).name == "Scout"
    assert plan(WHOLE, context=100).name == "This model"


def test_a_folder_says_what_its_weights_are(tmp_path):
    config = {**TINY.to_hf_dict(), "dtype": "float16", QUANTIZATION_KEY: PRESETS["int4"].to_dict()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = plan(tmp_path)
    assert (made.name, made.dtype, made.quantization) == (str(tmp_path), "float16", PRESETS["int4"])
    assert made.weights == plan(TINY, "int4", dtype=torch.float16).weights
    assert plan(str(tmp_path), "int4", dtype="float32").dtype == "float32"
    with pytest.raises(UserError, match="is stored as int4 in groups of 128, asymmetric: plan it without quantize"):
        plan(tmp_path, "int8")


def test_a_text_only_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**TINY.text.to_hf_dict(), "torch_dtype": "float32"}))
    assert plan(tmp_path).weights == plan(TINY.text, dtype="float32").weights


def test_a_type_inside_the_text_config(tmp_path):
    config = TINY.to_hf_dict()
    config["text_config"]["dtype"] = "float16"
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert plan(tmp_path).dtype == "float16"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "scot"}, "there is no model 'scot': give scout, maverick, tiny, a folder or a full hub id"),
        ({"quantize": "int5"}, "there is no number format 'int5'; choose one of int8, int4, int3, int2, fp8"),
        ({"context": 10_485_761}, "a context of 10,485,761 tokens is not possible: Scout has 1 to 10,485,760"),
        ({"context": 0}, "a context of 0 tokens is not possible: Scout has 1 to 10,485,760"),
        ({"batch": 0}, "the batch must be at least 1, got 0"),
        ({"dtype": "int8"}, "dtype is 'int8'; expected bfloat16, float16, float32, float64"),
        ({"dtype": torch.int8}, "dtype is torch.int8; expected bfloat16, float16, float32, float64"),
        ({"context": 1000, "tiles": 7}, "7 tiles are not possible: 1,000 tokens have room for 0 to 6"),
        ({"tiles": -1}, "-1 tiles are not possible"),
        ({"tiles": 1, "vision": False}, "1 tiles need a model with vision"),
    ],
)
def test_impossible_plans_are_refused(settings, message):
    with pytest.raises(UserError) as raised:
        plan(**{"source": "scout", **settings})
    assert message in str(raised.value)


def test_a_checkpoint_of_another_library_is_refused(tmp_path):
    config = {**TINY.to_hf_dict(), "quantization_config": {"quant_method": "bitsandbytes"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="another library's format: plan the original"):
        plan(tmp_path)


def test_defaults_fit_small_models():
    """Tiny has 4096 positions, and one of its tiles is 16 tokens."""
    assert (plan("tiny").context, plan("tiny").tiles) == (4096, 17)
    assert (plan("tiny", context=40).context, plan("tiny", context=40).tiles) == (40, 2)
    assert [phase.phase for phase in plan("tiny", context=10).activations] == ["reading the prompt"]


# The command line

TABLE = """\
Scout: int4 in groups of 128, asymmetric; computing in bfloat16; 4 texts of 1,000,000 tokens
One token of text uses 17.17 B of 107.77 B parameters.

                                                             GiB
----------------------------------------------------------------
Weights                    108.64 B parameters             56.82
  routed experts                       96.64 B  int4       47.81
  shared experts                        6.04 B  int4        2.99
  attention                             3.02 B  int4        1.49
  routers and norms                     4.43 M  bfloat16    0.01
  embeddings                            1.03 B  bfloat16    1.93
  output head                           1.03 B  int8        0.96
  vision                              850.96 M  bfloat16    1.59
  projector                            20.97 M  bfloat16    0.04
Keys and values                                           187.61
  12 global layers        4 x 1,000,000 tokens  bfloat16  183.11
  36 chunked layers           4 x 8,192 tokens  bfloat16    4.50
"""


def test_the_table_of_scout(capsys):
    assert cli.main(["plan", "scout", "--quantize", "int4", "--context", "1M", "--batch", "4"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(TABLE)
    total = next(line for line in printed.splitlines() if line.startswith("Total"))
    made = plan("scout", "int4", context=1_000_000, batch=4)
    assert total.split()[-1] == f"{made.total_bytes / GIB:.2f}"
    for name, needed in made.devices_needed().items():
        line = next(line for line in printed.splitlines() if line.startswith(name))
        assert line.split()[-1] == str(needed or "-")


def test_small_models_are_in_mebibytes(capsys):
    assert cli.main(["plan", "tiny", "--context", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Tiny: bfloat16; one text of 100 tokens"
    assert lines[3].split() == ["MiB"]
    made = plan("tiny", context=100)
    assert lines[5].split() == ["Weights", "5.44", "M", "parameters", f"{made.weight_bytes / 2**20:.2f}"]
    assert "too small, in any number" not in "\n".join(lines)


def test_json_holds_the_whole_plan(capsys):
    arguments = [
        "--quantize",
        "int4",
        "--context",
        "4k",
        "--batch",
        "2",
        "--dtype",
        "float16",
        "--tiles",
        "3",
        "--json",
    ]
    assert cli.main(["plan", "scout", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    made = plan("scout", "int4", context=4000, batch=2, dtype="float16", tiles=3)
    assert printed == json.loads(json.dumps(made.to_dict()))
    assert printed["total_bytes"] == made.total_bytes
    assert printed["quantization"] == PRESETS["int4"].to_dict()
    assert printed["weights"][0] == dataclasses.asdict(made.weights[0])
    assert printed["devices_needed"]["NVIDIA H100 80 GB"] == 1
    assert cli.main(["plan", "scout", "--no-vision", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tiles"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scot"], "there is no model 'scot'"),
        (["scout", "--context", "12,5x"], "'12,5x' is no number of tokens: write 131072, 128k or 1M"),
        (["scout", "--context", "20M"], "a context of 20,000,000 tokens is not possible"),
        (["scout", "--batch", "0"], "the batch must be at least 1, got 0"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert cli.main(["plan", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(
    ("text", "number"),
    [("131072", 131072), ("131,072", 131072), ("128k", 128_000), ("1M", 10**6), ("1.5m", 1_500_000), (" 8_192 ", 8192)],
)
def test_numbers_of_tokens(text, number):
    assert memory.read_count(text) == number


@pytest.mark.parametrize("text", ["", "k", "many", "1.5", "1e400", "nan", "1MM", "0x10"])
def test_no_numbers_of_tokens(text):
    with pytest.raises(UserError, match="is no number of tokens"):
        memory.read_count(text)


def test_counts_in_short():
    numbers = {999: "999", 1000: "1.00 k", 4_430_000: "4.43 M", 108_641_793_536: "108.64 B"}
    assert {number: count(number) for number in numbers} == numbers
