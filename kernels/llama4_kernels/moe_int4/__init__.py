"""A mixture of experts in int4: see README.md."""

from .launch import moe_int4
from .reference import Int4Expert, moe_int4_reference, stack_experts

__all__ = ["Int4Expert", "moe_int4", "moe_int4_reference", "stack_experts"]
