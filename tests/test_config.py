import dataclasses
import json

import pytest
import transformers

from llama4_explained import (
    MAVERICK,
    SCOUT,
    TINY,
    LayerSpec,
    Llama4Config,
    RopeScaling,
    TextConfig,
    UserError,
    VisionConfig,
)
from llama4_explained.config import read_config, read_config_file

SMALL = {"num_layers": 4, "hidden_size": 64}


def hf_text(**changes):
    """A text config as a config.json has it, with the spellings of today."""
    return {**SCOUT.text.to_hf_dict(), **changes}


def without(names, hf):
    return {name: value for name, value in hf.items() if name not in names}


# What the published models are


def test_scout():
    text, vision = SCOUT.text, SCOUT.vision
    assert (text.hidden_size, text.num_layers, text.num_query_heads, text.num_kv_heads, text.head_dim) == (
        5120,
        48,
        40,
        8,
        128,
    )
    assert (text.expert_width, text.dense_width, text.vocab_size, text.rms_norm_eps) == (8192, 16384, 202048, 1e-5)
    assert (text.num_experts, text.experts_per_token, text.max_positions) == (16, 1, 10485760)
    assert (text.rope_theta, text.rope_scaling) == (500000.0, RopeScaling(16.0, 1.0, 1.0, 8192))
    assert (text.temperature_tuning, text.floor_scale, text.temperature_scale) == (True, 8192, 0.1)
    assert (text.qk_norm, text.tie_embeddings) == (True, False)
    assert (text.bos_id, text.eos_ids, text.pad_id) == (200000, (200001, 200007, 200008), 200018)
    assert (SCOUT.image_start_id, SCOUT.image_end_id, SCOUT.patch_id) == (200080, 200081, 200092)
    assert (vision.image_size, vision.patch_size, vision.hidden_size, vision.num_layers, vision.num_heads) == (
        336,
        14,
        1408,
        34,
        16,
    )
    assert (vision.mlp_width, vision.adapter_width, vision.rope_theta, vision.pixel_shuffle_ratio) == (
        5632,
        4096,
        10000.0,
        0.5,
    )


def test_scout_layers():
    rope = LayerSpec(uses_rope=True, chunk_size=8192, is_moe=True)
    nope = LayerSpec(uses_rope=False, chunk_size=None, is_moe=True)
    assert SCOUT.text.layer_plan == (rope, rope, rope, nope) * 12


def test_maverick():
    text = MAVERICK.text
    assert (text.num_experts, text.experts_per_token, text.moe_interval) == (128, 1, 2)
    assert (text.qk_norm, text.max_positions, text.rope_scaling) == (False, 1048576, None)
    assert [i for i, layer in enumerate(text.layer_plan) if layer.is_moe] == list(range(1, 48, 2))
    assert [i for i, layer in enumerate(text.layer_plan) if not layer.uses_rope] == list(range(3, 48, 4))
    assert MAVERICK.vision == SCOUT.vision


def test_a_tile_is_576_patches_and_144_tokens():
    vision = SCOUT.vision
    assert (vision.patches_per_side, vision.num_patches, vision.shuffle, vision.tokens_per_tile) == (24, 576, 2, 144)


def test_position_encoding_and_experts_follow_patterns_of_their_own():
    config = TextConfig(**SMALL, nope_interval=2, moe_interval=3, chunk_size=8)
    assert [(layer.uses_rope, layer.chunk_size, layer.is_moe) for layer in config.layer_plan] == [
        (True, 8, False), (False, None, False), (True, 8, True), (False, None, False),
    ]  # fmt: skip


def test_explicit_layers():
    config = TextConfig(**SMALL, rope_layers=(False, True, True, True), moe_layers=(0, 3))
    assert [layer.uses_rope for layer in config.layer_plan] == [False, True, True, True]
    assert [layer.is_moe for layer in config.layer_plan] == [True, False, False, True]
    assert not any(layer.is_moe for layer in TextConfig(**SMALL, moe_layers=()).layer_plan)


# To HF and back


def without_chunks():
    return Llama4Config(text=TextConfig(chunk_size=None))


@pytest.mark.parametrize(
    "config", [SCOUT, MAVERICK, TINY, without_chunks()], ids=["scout", "maverick", "tiny", "no-chunks"]
)
def test_round_trip(config):
    assert Llama4Config.from_hf(config.to_hf_dict()) == config
    assert Llama4Config.from_hf(json.loads(json.dumps(config.to_hf_dict()))) == config
    assert TextConfig.from_hf(config.text.to_hf_dict()) == config.text
    assert VisionConfig.from_hf(config.vision.to_hf_dict()) == config.vision


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_layers": (False, True, True, True)},
        {"moe_layers": (0, 3)},
        {"moe_layers": ()},
        {"nope_interval": 3, "moe_interval": 2},
        {"rope_scaling": RopeScaling(8.0, 1.0, 4.0, 4096), "rope_theta": 10000.0},
        {"temperature_tuning": False, "floor_scale": 7, "temperature_scale": 0.2},
        {"bos_id": None, "eos_ids": (), "pad_id": None},
        {"tie_embeddings": True, "init_std": 0.05, "head_dim": 16, "num_kv_heads": 40, "experts_per_token": 2},
    ],
)
def test_round_trip_of_every_kind_of_layer(changes):
    config = TextConfig(**SMALL, **changes)
    assert TextConfig.from_hf(config.to_hf_dict()) == config
    hf = transformers.Llama4TextConfig(**without(["model_type"], config.to_hf_dict()))
    assert TextConfig.from_hf(hf) == config


@pytest.mark.parametrize(
    "config", [SCOUT, MAVERICK, TINY, without_chunks()], ids=["scout", "maverick", "tiny", "no-chunks"]
)
def test_hf_accepts_ours_and_gives_it_back(config):
    hf = transformers.Llama4Config(**without(["model_type"], config.to_hf_dict()))
    assert Llama4Config.from_hf(hf) == config
    kinds = ["chunked_attention" if layer.uses_rope else "full_attention" for layer in config.text.layer_plan]
    assert hf.text_config.layer_types == kinds
    assert hf.text_config.moe_layers == [i for i, layer in enumerate(config.text.layer_plan) if layer.is_moe]


def test_hf_text_defaults():
    hf = transformers.Llama4TextConfig()
    ours = TextConfig.from_hf(hf)
    assert TextConfig.from_hf({}) == ours  # a silent file means what HF's defaults say
    assert (ours.vocab_size, ours.hidden_size, ours.num_layers) == (hf.vocab_size, hf.hidden_size, hf.num_hidden_layers)
    assert (ours.num_query_heads, ours.num_kv_heads, ours.head_dim) == (
        hf.num_attention_heads, hf.num_key_value_heads, hf.head_dim
    )  # fmt: skip
    assert (ours.expert_width, ours.dense_width) == (hf.intermediate_size, hf.intermediate_size_mlp)
    assert (ours.num_experts, ours.experts_per_token) == (hf.num_local_experts, hf.num_experts_per_tok)
    assert [int(layer.uses_rope) for layer in ours.layer_plan] == hf.no_rope_layers
    assert [i for i, layer in enumerate(ours.layer_plan) if layer.is_moe] == hf.moe_layers
    assert (ours.chunk_size, ours.qk_norm) == (hf.attention_chunk_size, hf.use_qk_norm)
    assert (ours.temperature_tuning, ours.floor_scale, ours.temperature_scale) == (
        hf.attn_temperature_tuning, hf.floor_scale, hf.attn_scale
    )  # fmt: skip
    assert hf.rope_parameters == {"rope_type": "default", "rope_theta": ours.rope_theta} and ours.rope_scaling is None
    assert (ours.rms_norm_eps, ours.max_positions) == (hf.rms_norm_eps, hf.max_position_embeddings)
    assert (ours.tie_embeddings, ours.init_std) == (hf.tie_word_embeddings, hf.initializer_range)
    assert (ours.bos_id, list(ours.eos_ids), ours.pad_id) == (hf.bos_token_id, [hf.eos_token_id], hf.pad_token_id)


def test_hf_vision_defaults_are_read_and_refused():
    """HF's defaults cannot make a tower: its adapter's widths differ, and its MLP does not fit the pixel shuffle."""
    with pytest.raises(UserError, match=r"three widths must be equal.*7680"):
        VisionConfig.from_hf(transformers.Llama4VisionConfig())
    widths = {"vision_output_dim": 4096, "hidden_size": 1408}
    ours = VisionConfig.from_hf(transformers.Llama4VisionConfig(**widths))
    assert ours == VisionConfig.from_hf(widths) == VisionConfig(image_size=448)


# Other spellings


@pytest.mark.parametrize(
    "changes",
    [
        {"attn_temperature_tuning": 4},
        {"floor_scale": 8192.0},
        {"no_rope_layers": []},
        {"no_rope_layers": None},
        {"moe_layers": None},
        {"rope_parameters": None, "rope_theta": 500000.0, "rope_scaling": {
            "rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
            "original_max_position_embeddings": 8192}},
        {"rope_parameters": None, "rope_theta": 500000.0, "rope_scaling": {
            "type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
            "original_max_position_embeddings": 8192}},
        {"hidden_act": None, "layer_types": None, "use_cache": True, "output_router_logits": False},
    ],
)  # fmt: skip
def test_old_spellings_mean_the_same(changes):
    assert TextConfig.from_hf(hf_text(**changes)) == SCOUT.text


def test_missing_keys_mean_the_same():
    silent = without(["no_rope_layers", "moe_layers", "attn_temperature_tuning", "floor_scale", "head_dim"], hf_text())
    assert TextConfig.from_hf(silent) == SCOUT.text


def test_temperature_off_and_null_chunks():
    assert TextConfig.from_hf(hf_text(attn_temperature_tuning=False)).temperature_tuning is False
    assert TextConfig.from_hf(hf_text(attn_temperature_tuning=0)).temperature_tuning is False
    no_chunks = TextConfig.from_hf(hf_text(attention_chunk_size=None))
    assert no_chunks.chunk_size is None and all(layer.chunk_size is None for layer in no_chunks.layer_plan)


@pytest.mark.parametrize(("eos", "expected"), [(7, (7,)), ([7, 8], (7, 8)), (None, ()), ([], ())])
def test_end_of_text_may_be_one_id_or_several_or_none(eos, expected):
    assert TextConfig.from_hf(hf_text(eos_token_id=eos)).eos_ids == expected


def test_old_rope_without_scaling():
    old = {**without(["rope_parameters"], hf_text()), "rope_theta": 10000.0, "rope_scaling": None}
    ours = TextConfig.from_hf(old)
    assert (ours.rope_theta, ours.rope_scaling) == (10000.0, None)


def test_null_head_counts_are_derived():
    ours = TextConfig.from_hf(
        {"head_dim": None, "num_key_value_heads": None, "hidden_size": 80, "num_attention_heads": 10}
    )
    assert (ours.head_dim, ours.num_kv_heads) == (8, 10)
    assert TextConfig.from_hf({"head_dim": None}).head_dim == 128


def test_multimodal_or_text_only():
    assert read_config(SCOUT.to_hf_dict()) == SCOUT
    assert read_config(SCOUT.text.to_hf_dict()) == SCOUT.text
    hf = without(["boi_token_index", "eoi_token_index", "image_token_index"], SCOUT.to_hf_dict())
    assert read_config(hf) == SCOUT


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"num_query_heads": 10, "num_kv_heads": 4},
            r"num_query_heads \(10\) must be a multiple of num_kv_heads \(4\)",
        ),
        ({"head_dim": 7}, "head_dim must be even"),
        ({"chunk_size": 0}, "chunk_size must be positive, got 0"),
        ({"chunk_size": -8}, "chunk_size must be positive, got -8"),
        ({"experts_per_token": 5, "num_experts": 4}, r"experts_per_token \(5\) is larger than num_experts \(4\)"),
        ({"num_experts": 0}, "num_experts must be positive"),
        ({"floor_scale": 0}, "floor_scale must be positive"),
        ({"rms_norm_eps": 0.0}, "rms_norm_eps must be positive"),
        ({"nope_interval": 0}, "nope_interval must be positive"),
        ({"num_layers": "four"}, "num_layers must be a whole number, got 'four'"),
        ({"num_layers": 2.5}, "num_layers must be a whole number, got 2.5"),
        ({"vocab_size": None}, "vocab_size must be a whole number, got None"),
        ({"rope_theta": "large"}, "rope_theta must be a number, got 'large'"),
        ({"floor_scale": None}, "floor_scale must be a whole number, got None"),
        ({"bos_id": "<s>"}, "bos_id must be a whole number, got '<s>'"),
        ({"rope_layers": (True, False)}, "rope_layers has 2 entries for 4 layers"),
        ({"moe_layers": (4,)}, "moe_layers names layer 4 of 4"),
        ({"moe_layers": (-1,)}, "moe_layers names layer -1 of 4"),
        ({"bos_id": 202048}, "bos_id 202048 is outside the vocabulary of 202048"),
        ({"eos_ids": (1, -1)}, "eos_ids -1 is outside the vocabulary"),
        ({"pad_id": 500000}, "pad_id 500000 is outside the vocabulary"),
    ],
)
def test_inconsistent_text(changes, message):
    with pytest.raises(UserError, match=message):
        TextConfig(**{**SMALL, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 335}, r"image_size \(335\) must be a multiple of patch_size \(14\)"),
        ({"hidden_size": 1400, "mlp_width": 5600}, "must be a multiple of 4 [*] num_heads"),
        ({"pixel_shuffle_ratio": 0.4}, "pixel_shuffle_ratio must be 1/2, 1/3, 1/4, ..., got 0.4"),
        ({"pixel_shuffle_ratio": 0.0}, "pixel_shuffle_ratio must be positive"),
        ({"image_size": 350}, "25 patches a side cannot be merged 2 by 2"),
        ({"mlp_width": 5000}, "mlp_width must be hidden_size / pixel_shuffle_ratio.2 = 5632, got 5000"),
        ({"num_heads": 0}, "num_heads must be positive"),
        ({"image_size": [336, 336]}, "image_size must be a whole number, got .336, 336."),
    ],
)
def test_inconsistent_vision(changes, message):
    with pytest.raises(UserError, match=message):
        VisionConfig(**changes)


@pytest.mark.parametrize("name", ["image_start_id", "image_end_id", "patch_id"])
def test_image_ids_outside_the_vocabulary(name):
    for token in (-1, 2048):
        with pytest.raises(UserError, match=f"{name} {token} is outside the vocabulary of 2048"):
            dataclasses.replace(TINY, **{name: token})
    with pytest.raises(UserError, match=f"{name} must be a whole number, got None"):
        dataclasses.replace(TINY, **{name: None})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 0.5}, "factor must be at least 1"),
        ({"low_frequency_factor": 4.0, "high_frequency_factor": 1.0}, "high_frequency_factor >= low_frequency_factor"),
        ({"low_frequency_factor": 0.0}, "low_frequency_factor > 0"),
        ({"original_max_positions": 0}, "original_max_positions must be positive"),
    ],
)
def test_inconsistent_rope_scaling(arguments, message):
    with pytest.raises(UserError, match=message):
        RopeScaling(**arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu"}, "text_config: hidden_act='gelu' is not part of Llama 4; expected 'silu'"),
        ({"attention_bias": True}, "attention_bias=True is not part of Llama 4"),
        ({"attention_dropout": 0.1}, "attention_dropout=0.1"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_type 'yarn' is not used by Llama 4"),
        (
            {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
            "rope scaling lacks low_freq_factor, high_freq_factor",
        ),
        ({"layer_types": ["full_attention"] * 48}, "layer 0 is full_attention with no_rope_layers 1"),
        ({"num_key_value_heads": 7}, "must be a multiple of num_kv_heads"),
        ({"attention_chunk_size": 0}, "chunk_size must be positive"),
        ({"model_type": "llama"}, "model_type='llama' is not part of Llama 4; expected 'llama4_text'"),
    ],
)
def test_text_configs_of_other_models(changes, message):
    with pytest.raises(UserError, match=message):
        TextConfig.from_hf(hf_text(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision_output_dim": 7680}, "three widths must be equal"),
        ({"multi_modal_projector_bias": True}, "multi_modal_projector_bias=True"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "rope scaling lacks"),
        ({"rope_parameters": SCOUT.text.to_hf_dict()["rope_parameters"]}, "not part of Llama 4's vision tower"),
    ],
)
def test_vision_configs_of_other_models(changes, message):
    with pytest.raises(UserError, match=message):
        VisionConfig.from_hf({**SCOUT.vision.to_hf_dict(), **changes})


def test_text_config_is_not_mistaken_for_the_whole_one():
    with pytest.raises(UserError, match="model_type='llama4' is not part of Llama 4; expected 'llama4_text'"):
        TextConfig.from_hf(SCOUT.to_hf_dict())
    with pytest.raises(UserError, match="no vision half"):
        Llama4Config.from_hf(SCOUT.text.to_hf_dict())
    with pytest.raises(UserError, match="model_type is 'mistral'; expected 'llama4' or 'llama4_text'"):
        read_config({"model_type": "mistral"})
    with pytest.raises(UserError, match="model_type is None"):
        read_config({})


def test_reading_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"has no config\.json: is it a checkpoint folder"):
        Llama4Config.from_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"has no config\.json"):
        read_config_file(tmp_path / "config.json")
    file = tmp_path / "config.json"
    for content, message in (
        (b'{"model_type": ', "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[]", "is not a JSON object"),
    ):
        file.write_bytes(content)
        with pytest.raises(UserError, match=message):
            Llama4Config.from_pretrained(tmp_path)
    file.write_text(json.dumps(TINY.to_hf_dict()), encoding="utf-8")
    assert Llama4Config.from_pretrained(tmp_path) == TINY
