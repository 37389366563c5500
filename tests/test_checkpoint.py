"""Weights out of a model and into it again: HF reads what is saved, and a failure loses nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import GenerationConfig

from llama4_explained import Llama4Config, Llama4Text, TextConfig, UserError, checkpoint
from llama4_explained.check.twins import pair
from llama4_explained.checkpoint import (
    check_weights,
    load_weights,
    place,
    save_pretrained,
    save_quantized,
    without_memory,
)
from llama4_explained.number_formats import PRESETS
from llama4_explained.quantize import empty_like, quantize_model_
from llama4_explained.tensor_files import stored_tensors
from oracle import TEXT, WHOLE, random_ids, random_tensor

TIED_TEXT = replace(TEXT, tie_embeddings=True)
TIED_WHOLE = replace(WHOLE, text=TIED_TEXT)
MODELS = pytest.mark.parametrize(
    "config", [TEXT, TIED_TEXT, WHOLE, TIED_WHOLE], ids=["text", "text tied", "whole", "whole tied"]
)
TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


def inputs(config: Llama4Config | TextConfig, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Three chunks of text, and an image where there are eyes for it."""
    input_ids = random_ids(2, 24)
    if isinstance(config, TextConfig):
        return {"input_ids": input_ids}
    input_ids[0, 3 : 3 + config.vision.tokens_per_tile] = config.patch_id
    return {"input_ids": input_ids, "pixel_values": random_tensor(1, 3, 24, 24).clamp(-1, 1).to(dtype)}


def small_text_model(**changes: Any) -> Llama4Text:
    model = Llama4Text(replace(TEXT, **changes))
    model.init_weights(std=0.2, seed=0)
    return model


def empty(model: nn.Module) -> Any:
    """The same, without memory."""
    with without_memory():
        return type(model)(model.config)


def reload(model: nn.Module, folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The model again, from a folder."""
    again = empty(model)
    load_weights(again, check_weights(again, stored_tensors(folder), folder), torch.device("cpu"), dtype)
    return again


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Saving, and HF


@MODELS
@TYPES
@pytest.mark.parametrize("max_shard_bytes", [5 * 10**9, 40_000], ids=["one file", "shards"])
def test_hf_loads_what_is_saved(tmp_path: Path, config: Any, dtype: torch.dtype, max_shard_bytes: int):
    ours, theirs = pair(config, std=0.2, dtype=dtype)
    save_pretrained(ours, tmp_path, max_shard_bytes)
    assert (tmp_path / "model.safetensors").exists() == (max_shard_bytes > 40_000)
    again, info = type(theirs).from_pretrained(tmp_path, output_loading_info=True, attn_implementation="eager")
    assert not any(info.values()), info
    assert again.dtype == dtype
    batch = inputs(config, dtype)
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, theirs(**batch).logits)


@MODELS
@TYPES
def test_what_hf_saves_is_loaded(tmp_path: Path, config: Any, dtype: torch.dtype):
    ours, theirs = pair(config, std=0.2, dtype=dtype)
    for number, size in enumerate(["5GB", "40KB"]):
        folder = tmp_path / str(number)
        theirs.save_pretrained(folder, max_shard_size=size)
        again = reload(ours, folder, dtype)
        with torch.no_grad():
            assert torch.equal(again(**inputs(config, dtype)), ours(**inputs(config, dtype)))


def test_shards_and_index_are_laid_out_as_hf_does_it(tmp_path: Path):
    ours, theirs = pair(WHOLE)
    save_pretrained(ours, tmp_path / "ours", 60_000)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="60KB")
    index, expected = (
        json.loads((tmp_path / whose / "model.safetensors.index.json").read_text()) for whose in ("ours", "theirs")
    )
    assert index["weight_map"].keys() == expected["weight_map"].keys()
    assert index["metadata"]["total_size"] == expected["metadata"]["total_size"]
    names = sorted(path.name for path in (tmp_path / "ours").glob("*.safetensors"))
    assert names == [f"model-{i:05}-of-{len(names):05}.safetensors" for i in range(1, len(names) + 1)]
    assert set(index["weight_map"].values()) == set(names)
    for name in names:
        tensors = load_file(tmp_path / "ours" / name)
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors.values()) <= 60_000


def test_a_tensor_larger_than_a_shard_has_a_file_of_its_own(tmp_path: Path):
    model = small_text_model()
    save_pretrained(model, tmp_path, 1)
    assert len(list(tmp_path.glob("*.safetensors"))) == len(model.state_dict())
    assert torch.equal(reload(model, tmp_path)(random_ids(1, 8)), model(random_ids(1, 8)))


def test_hf_generates_with_our_special_ids(tmp_path: Path):
    save_pretrained(small_text_model(), tmp_path)
    ids = GenerationConfig.from_pretrained(tmp_path)
    assert (ids.bos_token_id, ids.eos_token_id, ids.pad_token_id) == (1, [2, 3], 0)


def test_no_special_ids_are_none_for_hf(tmp_path: Path):
    save_pretrained(small_text_model(bos_id=None, eos_ids=(), pad_id=None), tmp_path)
    ids = GenerationConfig.from_pretrained(tmp_path)
    assert (ids.bos_token_id, ids.eos_token_id, ids.pad_token_id) == (None, None, None)


def test_saving_anew_replaces_the_weights_and_keeps_other_files(tmp_path: Path):
    first, second = small_text_model(), small_text_model()
    second.init_weights(std=0.2, seed=1)
    save_pretrained(first, tmp_path, 10_000)
    (tmp_path / "tokenizer.json").write_text("{}")
    save_pretrained(second, tmp_path)
    assert set(content(tmp_path)) == {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert torch.equal(reload(second, tmp_path)(random_ids(1, 8)), second(random_ids(1, 8)))
    save_pretrained(first, tmp_path, 10_000)
    assert "model.safetensors" not in content(tmp_path)
    assert torch.equal(reload(first, tmp_path)(random_ids(1, 8)), first(random_ids(1, 8)))


def test_a_model_is_saved_where_it_was_loaded_from(tmp_path: Path):
    save_pretrained(small_text_model(), tmp_path)
    before = content(tmp_path)
    save_pretrained(reload(small_text_model(), tmp_path), tmp_path)
    assert content(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs the limits that POSIX gives a process")
@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_loses_nothing(tmp_path: Path, existing: bool):
    import resource

    folder = tmp_path / "new" / "folder"
    if existing:
        save_pretrained(small_text_model(), folder, 20_000)
        (folder / "tokenizer.json").write_text("{}")
    before = content(folder) if existing else None
    model = small_text_model()
    model.init_weights(std=0.1, seed=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError) as raised:
            save_pretrained(model, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(raised.value) == f"{folder} could not be written and is as it was: File too large"
    assert content(folder) == before if existing else list(tmp_path.iterdir()) == []


def test_ctrl_c_while_saving_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_pretrained(small_text_model(), tmp_path, 20_000)
    before = content(tmp_path)
    write = checkpoint.write_tensors

    def interrupted(path: Path, tensors: dict[str, Tensor]) -> None:
        write(path, tensors)
        if path.name.startswith("model-00002"):
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_pretrained(small_text_model(init_std=0.5), tmp_path, 20_000)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("save", "complaint"),
    [
        (lambda model, folder: save_pretrained(empty(model), folder), "no weights yet"),
        (lambda model, folder: save_pretrained(model, folder, 0), "max_shard_bytes must be positive, got 0"),
        (lambda model, folder: save_quantized(model, folder), "not quantised: load it with quantize="),
    ],
)
def test_a_model_that_cannot_be_saved(tmp_path: Path, save: Callable[[nn.Module, Path], None], complaint: str):
    with pytest.raises(UserError, match=complaint):
        save(small_text_model(), tmp_path)
    assert list(tmp_path.iterdir()) == []


# Quantised models


@pytest.mark.parametrize("format_name", PRESETS)
@pytest.mark.parametrize("config", [TEXT, TIED_WHOLE], ids=["text", "whole tied"])
def test_a_quantised_model_comes_back_as_it_was(tmp_path: Path, config: Any, format_name: str):
    model, _ = pair(config, std=0.2, dtype=torch.bfloat16)
    quantize_model_(model, format_name)
    save_quantized(model, tmp_path, 30_000)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["llama4_explained_quantization"] == PRESETS[format_name].to_dict()
    assert saved["dtype"] == "bfloat16"
    stored = stored_tensors(tmp_path)
    expected = model.state_dict()
    if model.text_config.tie_embeddings:
        expected.pop("language_model.lm_head.weight")
    assert stored.keys() == expected.keys()
    for key, tensor in expected.items():
        assert stored[key].dtype == tensor.dtype
        assert torch.equal(stored[key].read().view(torch.uint8), tensor.view(torch.uint8))


def test_a_quantised_model_is_not_saved_for_hf(tmp_path: Path):
    model = small_text_model()
    quantize_model_(model, "int8")
    with pytest.raises(UserError, match="HF does not read: use save_quantized"):
        save_pretrained(model, tmp_path)


def test_a_mixture_of_formats_is_not_saved(tmp_path: Path):
    model = small_text_model()
    quantize_model_(model, "int4")
    path = "model.layers.2.self_attn.q_proj"
    with torch.device("meta"):
        linear = nn.Linear(TEXT.hidden_size, TEXT.num_query_heads * TEXT.head_dim, bias=False)
    model.set_submodule(path, empty_like(linear, PRESETS["int8"]))
    with pytest.raises(UserError, match=f"{path} is int8.*; a saved model has it int4"):
        save_quantized(model, tmp_path)


# Checking what is stored against the model


def saved_text(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """A checkpoint of `TEXT`, after `change` has been at its tensors."""
    save_pretrained(small_text_model(), folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


Q0 = "model.layers.0.self_attn.q_proj.weight"
EXPERTS = "model.layers.1.feed_forward.experts.gate_up_proj"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.pop(Q0), f"lacks {Q0}, expected as [72, 48]"),
        (lambda t: [t.pop(key) for key in (Q0, EXPERTS)], f"lacks {Q0} and 1 more, expected as [72, 48]"),
        (lambda t: t.update(extra=t.pop(Q0)), f"lacks {Q0}, expected as [72, 48]; it has extra instead"),
        (lambda t: t.update(extra=torch.ones(1)), "has extra, expected nowhere in the model"),
        (lambda t: t.update({Q0: torch.ones(72, 47)}), f"{Q0} is [72, 47], expected [72, 48]"),
        (lambda t: t.update({EXPERTS: t[EXPERTS].mT.contiguous()}), f"{EXPERTS} is [5, 40, 48], expected [5, 48, 40]"),
        (lambda t: t.update({Q0: t[Q0].int()}), f"{Q0} is of type I32, expected F64 or F32 or F16 or BF16"),
        (lambda t: t.update({Q0: t[Q0].to(torch.float8_e4m3fn)}), f"{Q0} is of type F8_E4M3, expected F64 or"),
    ],
)
def test_weights_that_do_not_fit_are_named_before_any_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Tensor]], object], expected: str
):
    saved_text(tmp_path, change)
    monkeypatch.setattr(checkpoint.StoredTensor, "read", lambda self: pytest.fail("read before all was checked"))
    with pytest.raises(UserError) as raised:
        reload(small_text_model(), tmp_path)
    line = str(raised.value)
    assert expected in line and str(tmp_path) in line and "\n" not in line


def test_old_files_may_hold_frequencies(tmp_path: Path):
    saved_text(tmp_path, lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(6)}))
    assert torch.equal(reload(small_text_model(), tmp_path)(random_ids(1, 9)), small_text_model()(random_ids(1, 9)))


@pytest.mark.parametrize("kept", [{"lm_head"}, {"embed_tokens"}, {"lm_head", "embed_tokens"}])
def test_a_tied_matrix_is_stored_under_either_name_or_both(tmp_path: Path, kept: set[str]):
    model = small_text_model(tie_embeddings=True)
    save_pretrained(model, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    table = tensors.pop("model.embed_tokens.weight")
    names = {"lm_head": "lm_head.weight", "embed_tokens": "model.embed_tokens.weight"}
    save_file({**tensors, **{names[name]: table.clone() for name in kept}}, tmp_path / "model.safetensors")
    again = reload(model, tmp_path)
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert torch.equal(again(random_ids(1, 9)), model(random_ids(1, 9)))


def test_a_head_that_is_not_tied_must_be_there(tmp_path: Path):
    save_pretrained(small_text_model(tie_embeddings=True), tmp_path)
    with pytest.raises(UserError, match=r"lacks lm_head.weight, expected as \[96, 48\]"):
        reload(small_text_model(), tmp_path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_that_are_none_are_named(tmp_path: Path, bad: float, dtype: torch.dtype):
    def spoil(tensors: dict[str, Tensor]) -> None:
        tensors[EXPERTS] = tensors[EXPERTS].to(dtype)
        tensors[EXPERTS][3, 7, 11] = bad

    saved_text(tmp_path, spoil)
    with pytest.raises(UserError) as raised:
        reload(small_text_model(), tmp_path)
    file = tmp_path / "model.safetensors"
    assert str(raised.value) == f"{file}: {EXPERTS} has NaN or infinity, expected finite numbers"


def test_numbers_too_large_for_the_type_asked_for(tmp_path: Path):
    saved_text(tmp_path, lambda t: t[Q0][3].fill_(1e5))
    with pytest.raises(UserError, match=f"{Q0} has numbers too large for torch.float16: choose a wider dtype"):
        reload(small_text_model(), tmp_path, torch.float16)
    assert reload(small_text_model(), tmp_path, torch.bfloat16).model.layers[0].self_attn.q_proj.weight[3, 0] == 99840


def test_a_full_device_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    saved_text(tmp_path, lambda t: None)
    monkeypatch.setattr(checkpoint.StoredTensor, "read", full)
    with pytest.raises(UserError, match=r"cpu is full after 0.0 of 0.0 GB, at lm_head.weight: quantize, or choose"):
        reload(small_text_model(), tmp_path)


# A model without memory, and placing one tensor


def test_a_model_without_memory_costs_nothing():
    code = """
import sys
from llama4_explained import SCOUT, Llama4
from llama4_explained.checkpoint import without_memory
with without_memory():
    model = Llama4(SCOUT)
assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_place_casts_parameters_and_quantises_where_codes_are_wanted():
    model = small_text_model()
    path = "model.layers.0.self_attn.q_proj"
    full = model.get_parameter(f"{path}.weight").detach().clone()
    place(model, f"{path}.weight", full, torch.bfloat16)
    assert torch.equal(model.get_parameter(f"{path}.weight"), full.bfloat16())
    assert model.get_parameter(f"{path}.weight").requires_grad
    module = empty_like(model.get_submodule(path), PRESETS["int8"])
    model.set_submodule(path, module)
    place(model, f"{path}.weight", full, torch.bfloat16)
    codes, scale = module.weight.clone(), module.weight_scale.clone()
    assert (codes.dtype, scale.dtype) == (torch.uint8, torch.bfloat16)
    assert float((module(torch.eye(48)).T - full).abs().max()) <= float(scale.max()) * 0.51
    place(model, f"{path}.weight", codes.flip(0), torch.float16)
    place(model, f"{path}.weight_scale", scale.flip(0), torch.float16)
    assert torch.equal(module.weight, codes.flip(0)) and torch.equal(module.weight_scale, scale.flip(0))
    assert module.weight_scale.dtype == torch.bfloat16
