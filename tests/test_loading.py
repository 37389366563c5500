"""`load`: everything that a folder may hold, what it costs in memory, and one line for everything that is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from chat_oracle import picture, small_json_file
from llama4_explained import TINY, Llama4, Llama4Config, Llama4Text, RopeScaling, TextConfig, UserError, hub
from llama4_explained.checkpoint import save_pretrained, save_quantized
from llama4_explained.loading import load
from llama4_explained.number_formats import PRESETS
from llama4_explained.processor import Processor
from llama4_explained.quantize import quantize_model_
from llama4_explained.tensor_files import INDEX_NAME, SINGLE_NAME, stored_tensors, write_tensors
from llama4_explained.tokenizer import Tokenizer
from oracle import TEXT, WHOLE, random_ids
from peak_memory import peak_bytes

pytestmark = pytest.mark.filterwarnings("ignore:.*has no tokenizer")


def new_model(config: Llama4Config | TextConfig = TEXT, dtype: torch.dtype = torch.float32) -> Any:
    model = Llama4(config) if isinstance(config, Llama4Config) else Llama4Text(config)
    model.init_weights(std=0.2, seed=0)
    return model.to(dtype).eval()


def saved(folder: Path, config: Llama4Config | TextConfig = TEXT, dtype: torch.dtype = torch.float32) -> Path:
    save_pretrained(new_model(config, dtype), folder)
    return folder


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def complaint(source: object, **settings: Any) -> str:
    with pytest.raises(UserError) as raised:
        load(source, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    return str(raised.value)


def same_weights(one: Any, other: Any) -> bool:
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key].view(torch.uint8), other[key].view(torch.uint8))
        for key in one
    )


# What is loaded


@pytest.mark.parametrize("config", [TEXT, WHOLE], ids=["text", "whole"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_model_that_was_saved(tmp_path: Path, config: Any, dtype: torch.dtype):
    model, _ = load(str(saved(tmp_path, config, dtype)))
    assert type(model) is (Llama4 if config is WHOLE else Llama4Text)
    assert model.config == config and not model.training
    assert same_weights(model, new_model(config, dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16", "torch.bfloat16"])
def test_another_type_is_cast_to(tmp_path: Path, dtype: torch.dtype | str):
    assert same_weights(load(saved(tmp_path), dtype=dtype)[0], new_model(dtype=torch.bfloat16))


def test_the_type_is_the_configs_in_any_spelling_or_that_of_most_weights(tmp_path: Path):
    saved(tmp_path)
    config = tmp_path / "config.json"
    edit_json(config, lambda hf: hf.update(dtype="bfloat16"))
    assert load(tmp_path)[0].lm_head.weight.dtype == torch.bfloat16
    edit_json(config, lambda hf: hf.update(torch_dtype=hf.pop("dtype")))
    assert load(tmp_path)[0].lm_head.weight.dtype == torch.bfloat16
    edit_json(config, lambda hf: hf.pop("torch_dtype"))
    assert load(tmp_path)[0].lm_head.weight.dtype == torch.float32
    tensors = {key: stored.read() for key, stored in stored_tensors(tmp_path).items()}
    write_tensors(tmp_path / SINGLE_NAME, {key: t.half() if t.numel() > 3000 else t for key, t in tensors.items()})
    assert {parameter.dtype for parameter in load(tmp_path)[0].parameters()} == {torch.float16}


def test_the_type_may_stand_in_the_text_config_alone(tmp_path: Path):
    saved(tmp_path, WHOLE)
    edit_json(tmp_path / "config.json", lambda hf: hf["text_config"].update(torch_dtype=hf.pop("dtype") and "float16"))
    assert {parameter.dtype for parameter in load(tmp_path)[0].parameters()} == {torch.float16}


def test_old_spellings(tmp_path: Path):
    """As in the files that were published first."""

    def make_old(hf: dict[str, Any]) -> None:
        rope = hf.pop("rope_parameters")
        hf["rope_theta"] = rope.pop("rope_theta")
        hf.update(rope_scaling=rope, attn_temperature_tuning=4, torch_dtype=hf.pop("dtype"), floor_scale=4.0)
        hf.update(no_rope_layers=[], for_llm_compressor=False)
        hf.pop("moe_layers")

    saved(tmp_path)
    edit_json(tmp_path / "config.json", make_old)
    model, _ = load(tmp_path)
    assert model.text_config.layer_plan == TEXT.layer_plan and model.text_config.rope_scaling == TEXT.rope_scaling
    assert torch.equal(model(random_ids(2, 24)), new_model()(random_ids(2, 24)))


def test_a_loaded_model_can_be_trained(tmp_path: Path):
    model, _ = load(saved(tmp_path))
    model(random_ids(2, 24)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_processor_comes_with_the_model(tmp_path: Path):
    tokenizer = Tokenizer.from_pretrained(small_json_file(tmp_path))
    names = {"image_start_id": "<|image_start|>", "image_end_id": "<|image_end|>", "patch_id": "<|patch|>"}
    config = replace(TINY, **{field: tokenizer.token_id(name) for field, name in names.items()})
    processor = Processor(tokenizer, config.vision.image_size, tokens_per_tile=config.vision.tokens_per_tile)
    saved(tmp_path, config)
    processor.save_pretrained(tmp_path)
    model, again = load(tmp_path)
    assert again is not None
    messages = [{"role": "user", "content": [{"type": "image", "image": picture(1)}, {"type": "text", "text": "Hi."}]}]
    inputs = again(messages)
    assert torch.equal(inputs["input_ids"], processor(messages)["input_ids"])
    assert model(**inputs).shape == (1, inputs["input_ids"].shape[1], config.text.vocab_size)


@pytest.mark.filterwarnings("default")
def test_without_a_tokenizer_there_is_no_processor(tmp_path: Path):
    saved(tmp_path)
    with pytest.warns(UserWarning, match="has no tokenizer .*the model takes token ids only") as caught:
        assert load(tmp_path)[1] is None
    assert caught[0].filename == __file__  # it points at the caller


def test_a_broken_tokenizer_is_not_passed_over(tmp_path: Path):
    (saved(tmp_path) / "tokenizer.json").write_text("{}")
    assert "tokenizer.json" in complaint(tmp_path)


def test_the_packaged_checkpoint_needs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path / "llama4_explained" / "assets" / "tiny")
    monkeypatch.setattr(hub.resources, "files", lambda package: tmp_path / package)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()  # a folder of that name is ./tiny
    assert same_weights(load("tiny")[0], new_model())
    assert "./tiny has no config.json" in complaint("./tiny")


# Hub ids, from the cache


def in_cache(root: Path, monkeypatch: pytest.MonkeyPatch, revision: str = "main") -> Path:
    """The folder of a snapshot of org/model, laid out as huggingface_hub leaves it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    commit = "89abcdef" * 5
    repository = root / "models--org--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / revision).write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.mark.parametrize("revision", [None, "v2", "89abcdef" * 5])
def test_offline_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None):
    snapshot = in_cache(tmp_path, monkeypatch, "v2" if revision == "v2" else "main")
    save_pretrained(new_model(), snapshot, 20_000)
    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(snapshot.iterdir())):
        path.rename(blobs / str(number))
        path.symlink_to(Path("..", "..", "blobs", str(number)))
    assert same_weights(load("org/model", revision=revision)[0], new_model())


def test_a_revision_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(in_cache(tmp_path, monkeypatch))
    assert "org/model at revision 'v3': no complete config.json in the cache" in complaint("org/model", revision="v3")


def test_a_shard_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    snapshot = in_cache(tmp_path, monkeypatch)
    save_pretrained(new_model(), snapshot, 20_000)
    shard = sorted(snapshot.glob("*.safetensors"))[1]
    shard.unlink()
    assert f"names {shard.name}, which is missing" in complaint("org/model")


# What is wrong with a folder or a setting


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda hf: hf.update(model_type="llama"), "model_type is 'llama'; expected 'llama4' or 'llama4_text'"),
        (lambda hf: hf.pop("model_type"), "model_type is None; expected"),
        (lambda hf: hf.update(num_attention_heads=5), "num_query_heads (5) must be a multiple of num_kv_heads (2)"),
        (lambda hf: hf.update(attention_chunk_size=0), "chunk_size must be positive, got 0"),
        (lambda hf: hf.update(dtype="int8"), "dtype is 'int8'; expected torch.float64, torch.float32"),
        (
            lambda hf: hf.update(quantization_config={"quant_method": "fbgemm_fp8"}),
            "the weights are quantised by fbgemm_fp8: load the original, with quantize=",
        ),
        (lambda hf: hf.update(llama4_explained_quantization={"format": "int5"}), "a quantisation config has the keys"),
        (lambda hf: hf.update(llama4_explained_quantization="int5"), "there is no number format 'int5'"),
    ],
)
def test_a_config_that_is_wrong(tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str):
    saved(tmp_path)
    edit_json(tmp_path / "config.json", change)
    line = complaint(tmp_path)
    assert expected in line and str(tmp_path / "config.json") in line


def test_a_config_that_is_no_json(tmp_path: Path):
    (saved(tmp_path) / "config.json").write_text("{'model_type'")
    assert "config.json is not valid JSON" in complaint(tmp_path)


def test_a_config_of_another_size(tmp_path: Path):
    saved(tmp_path)
    edit_json(tmp_path / "config.json", lambda hf: hf.update(num_hidden_layers=3, no_rope_layers=[], moe_layers=[1]))
    assert "has model.layers.3" in complaint(tmp_path)


def test_folders_without_config_or_weights(tmp_path: Path):
    assert complaint(tmp_path) == f"{tmp_path} has no config.json: is it a checkpoint folder?"
    saved(tmp_path)
    (tmp_path / SINGLE_NAME).rename(tmp_path / "pytorch_model.bin")
    assert f"{tmp_path / 'pytorch_model.bin'} is a pickle" in complaint(tmp_path)


def test_a_truncated_shard(tmp_path: Path):
    save_pretrained(new_model(), tmp_path, 20_000)
    shard = sorted(tmp_path.glob("*.safetensors"))[2]
    shard.write_bytes(shard.read_bytes()[:-1])
    assert f"{shard} is truncated" in complaint(tmp_path)


def test_an_index_that_names_a_missing_file(tmp_path: Path):
    save_pretrained(new_model(), tmp_path, 20_000)
    shard = sorted(tmp_path.glob("*.safetensors"))[2]
    shard.unlink()
    assert f"{tmp_path / INDEX_NAME} names {shard.name}, which is missing" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"quantize": "int5"}, "there is no number format 'int5'; choose one of int8, int4"),
        ({"dtype": torch.int8}, "dtype is torch.int8; expected torch.float64, torch.float32"),
        ({"dtype": "bf16"}, "dtype is 'bf16'; expected"),
        ({"device": "gpu"}, "device 'gpu' cannot be used: Expected one of cpu, cuda"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used: "),
        ({"device": "meta"}, "device 'meta' cannot be used: it holds no numbers"),
    ],
)
def test_a_setting_that_is_wrong(settings: dict[str, Any], expected: str):
    assert expected in complaint("org/never-asked-for", **settings)


# Quantising on the way


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("config", [TEXT, WHOLE], ids=["text", "whole"])
def test_quantised_while_loading_is_quantised_after_loading(tmp_path: Path, config: Any, name: str):
    folder = saved(tmp_path, config, torch.bfloat16)
    expected = new_model(config, torch.bfloat16)
    quantize_model_(expected, name)
    model, _ = load(folder, quantize=name)
    assert same_weights(model, expected)
    save_quantized(model, tmp_path / "quantised")
    again, _ = load(tmp_path / "quantised")
    assert same_weights(again, expected)
    assert torch.equal(again(random_ids(2, 24)), expected(random_ids(2, 24)))


def test_codes_are_made_from_the_numbers_as_stored(tmp_path: Path):
    expected = new_model()
    quantize_model_(expected, "int8")
    assert same_weights(load(saved(tmp_path), quantize="int8", dtype="bfloat16")[0], expected.bfloat16())


def test_a_quantised_checkpoint_keeps_its_format(tmp_path: Path):
    model = new_model()
    quantize_model_(model, "int4")
    save_quantized(model, tmp_path)
    assert same_weights(load(tmp_path, quantize="int4")[0], model)
    assert "is stored as int4 in groups of 128, asymmetric: load it without quantize" in complaint(
        tmp_path, quantize="int8"
    )
    wide, _ = load(tmp_path, dtype=torch.bfloat16)
    assert wide.model.embed_tokens.weight.dtype == torch.bfloat16
    assert torch.equal(wide.lm_head.weight_scale, model.lm_head.weight_scale)


def test_codes_of_another_format_do_not_fit(tmp_path: Path):
    model = new_model()
    quantize_model_(model, "int8")
    save_quantized(model, tmp_path)
    fp8 = PRESETS["fp8"].to_dict()
    edit_json(tmp_path / "config.json", lambda hf: hf.update(llama4_explained_quantization=fp8))
    assert "weight is of type U8, expected F8_E4M3" in complaint(tmp_path)


# Memory

# 85 MB in bfloat16, none of it in one place: a matrix of experts has 4 MB.
WIDE = TextConfig(
    vocab_size=4096, hidden_size=256, num_layers=12, num_query_heads=4, num_kv_heads=2, head_dim=64, expert_width=512,
    num_experts=8, chunk_size=64, max_positions=1024, rope_scaling=RopeScaling(8.0, 1.0, 4.0, 64), bos_id=1,
    eos_ids=(2,), pad_id=0,
)  # fmt: skip
MB = 10**6


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> dict[torch.dtype, Path]:
    """A sharded checkpoint of some size, in two types."""
    folders = {dtype: tmp_path_factory.mktemp(str(dtype)) for dtype in (torch.float32, torch.bfloat16)}
    model = new_model(WIDE)
    for dtype, folder in folders.items():
        save_pretrained(model.to(dtype), folder, 30 * MB)
    return folders


def stored_bytes(folder: Path) -> tuple[int, int]:
    """Of all tensors, and of the largest."""
    sizes = [stored.num_bytes for stored in stored_tensors(folder).values()]
    return sum(sizes), max(sizes)


def test_loading_holds_the_model_and_one_tensor(wide: dict[torch.dtype, Path]):
    """To the byte, as PyTorch's allocator sees it."""
    total, _ = stored_bytes(wide[torch.bfloat16])
    _, largest = stored_bytes(wide[torch.float32])
    assert total <= peak_bytes(lambda: load(wide[torch.bfloat16])) <= total * 1.01
    # Every tensor arrives in float32 and is cast.
    assert total < peak_bytes(lambda: load(wide[torch.float32], dtype="bfloat16")) <= (total + largest) * 1.01


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_process_grows_no_more_than_that(wide: dict[torch.dtype, Path], tmp_path: Path):
    """As the operating system sees it, with nothing mapped, cached or forgotten."""
    code = """
import json, re, sys, warnings
from pathlib import Path
from llama4_explained.loading import load

def resident(which):
    return 1024 * int(re.search(rf"{which}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

warnings.simplefilter("ignore")
for folder, settings in json.loads(sys.argv[2]):
    load(sys.argv[1], **settings)  # what is needed once: code, threads
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident("VmRSS")
    model, _ = load(folder, **settings)
    print(sum(tensor.nbytes for tensor in model.state_dict().values()), resident("VmHWM") - before)
    del model
"""
    cases = [(torch.bfloat16, {}), (torch.float32, {"dtype": "bfloat16"}), (torch.bfloat16, {"quantize": "int4"})]
    arguments = [(str(wide[dtype]), settings) for dtype, settings in cases]
    # Tensors over 32 MB, which are those that matter, glibc gives back at once; here it does so from 1 MB.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(MB)}
    command = [sys.executable, "-c", code, str(saved(tmp_path)), json.dumps(arguments)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    (plain, plain_grown), (cast, cast_grown), (int4, int4_grown) = (
        map(int, line.split()) for line in printed.splitlines()
    )
    total, _ = stored_bytes(wide[torch.bfloat16])
    _, largest = stored_bytes(wide[torch.float32])
    assert plain == cast == total and int4 < 0.3 * total
    assert plain_grown < total + 4 * MB
    assert cast_grown < total + largest + 4 * MB
    assert int4_grown < 0.6 * total
