"""A memory plan as the table that `llama4-explained plan` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .devices import DEVICES, RESERVED_GIB

if TYPE_CHECKING:
    from .memory import MemoryPlan

Row = tuple[str, str, str, str]


def render(plan: MemoryPlan) -> str:
    """The plan as text, its numbers in GiB, or in MiB if all of it is below one GiB."""
    lines = _aligned(_needs(plan), "<><>")
    rule = "-" * max(map(len, lines))
    devices = _aligned(_devices(plan), "<>><")
    return "\n".join([*_heading(plan), "", lines[0], rule, *lines[1:-1], rule, lines[-1], "", *devices, *_notes(plan)])


def count(number: int) -> str:
    """A number of parameters in short: 108.64 B, 4.43 M, 12.30 k."""
    for limit, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.2f} {unit}"
    return str(number)


def _heading(plan: MemoryPlan) -> list[str]:
    formats = f"{plan.quantization}; computing in {plan.dtype}" if plan.quantization else plan.dtype
    texts = "one text" if plan.batch == 1 else f"{plan.batch} texts"
    return [
        f"{plan.name}: {formats}; {texts} of {plan.context:,} tokens",
        f"One token of text uses {count(plan.active_parameters)} of {count(plan.text_parameters)} parameters.",
    ]


def _needs(plan: MemoryPlan) -> list[Row]:
    unit, divisor = ("GiB", 2**30) if plan.total_bytes >= 2**30 else ("MiB", 2**20)

    def row(what: str, detail: str, form: str, num_bytes: int) -> Row:
        return what, detail, form, f"{num_bytes / divisor:,.2f}"

    return [
        ("", "", "", unit),
        row("Weights", f"{count(plan.parameters)} parameters", "", plan.weight_bytes),
        *(row(f"  {part.part}", count(part.parameters), part.format, part.num_bytes) for part in plan.weights),
        row("Keys and values", "", "", plan.kv_bytes),
        *(
            row(f"  {kv.layers} {kv.kind} layers", f"{plan.batch} x {kv.tokens:,} tokens", plan.dtype, kv.num_bytes)
            for kv in plan.kv_cache
        ),
        row("Activations, at most", "estimate", "", plan.activation_bytes),
        *(row(f"  {phase.phase}", phase.detail, plan.dtype, phase.num_bytes) for phase in plan.activations),
        row("Total", "", "", plan.total_bytes),
    ]


def _devices(plan: MemoryPlan) -> list[Row]:
    needed = plan.devices_needed()
    rows = [(device.name, str(device.gib), str(needed[device.name] or "-"), "") for device in DEVICES]
    return [("Device", "GiB", "needed", ""), *rows]


def _notes(plan: MemoryPlan) -> list[str]:
    notes = [f"GiB is what a program finds there, of which {RESERVED_GIB} is kept for driver and libraries."]
    if None in plan.devices_needed().values():
        notes.append("-: too small, in any number (several Macs do not hold one model together).")
    return ["", *notes]


def _aligned(rows: Sequence[Row], sides: str) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]
