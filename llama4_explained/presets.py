"""The published sizes, Scout and Maverick, and a tiny one with every mechanism at work."""

from .config import Llama4Config, RopeScaling, TextConfig, VisionConfig

SCOUT = Llama4Config()
MAVERICK = Llama4Config(
    text=TextConfig(num_experts=128, moe_interval=2, qk_norm=False, rope_scaling=None, max_positions=1048576),
)
# A Llama 4 of about five million parameters: every mechanism at work within a few hundred tokens.
TINY = Llama4Config(
    text=TextConfig(
        vocab_size=2048, hidden_size=128, num_layers=8, num_query_heads=4, num_kv_heads=2, head_dim=32,
        expert_width=128, dense_width=256, num_experts=8, chunk_size=64, floor_scale=64, max_positions=4096,
        rope_theta=10_000.0,  # Scout's 500,000 turns too few of 16 pairs to tell positions of one chunk apart
        rope_scaling=RopeScaling(original_max_positions=64), bos_id=1984, eos_ids=(1985, 1986, 1987), pad_id=1988,
        init_std=0.05,
    ),
    vision=VisionConfig(
        image_size=112, hidden_size=128, num_layers=4, num_heads=4, mlp_width=512, adapter_width=128, init_std=0.05
    ),
    image_start_id=1989, image_end_id=1990, patch_id=1991,
)  # fmt: skip
