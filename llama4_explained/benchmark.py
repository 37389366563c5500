"""`llama4-explained benchmark cpu`: this implementation beside Hugging Face's eager one, in one run, on this machine.

Both sides of a comparison run in turn, round after round, so that a machine that slows down slows both; what counts is
the ratio of their medians.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from tqdm import tqdm

from . import __version__
from .config import TextConfig
from .errors import UserError
from .images import prepare_image, tile_image
from .kv_cache import KVCache
from .moe import MixtureOfExperts
from .presets import TINY

EXPERTS = (2, 4, 8, 16, 32, 64, 128)
TOKENS = (256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class Sizes:
    """What is measured, and how often."""

    config: TextConfig
    prompt: int = 1024  # tokens of prefill, and in the cache before decoding
    new_tokens: int = 64
    photograph: tuple[int, int] = (4000, 3000)  # pixels: width, height
    experts: tuple[int, ...] = EXPERTS
    tokens: tuple[int, ...] = TOKENS
    rounds: int = 7


def cpu_sizes() -> Sizes:
    """Eight layers of 512, 16 experts: large enough that arithmetic counts, small enough for a laptop."""
    config = replace(
        TINY.text, vocab_size=2048, hidden_size=512, num_layers=8, num_query_heads=8, num_kv_heads=2, head_dim=64,
        expert_width=1024, dense_width=2048, num_experts=16, chunk_size=256, floor_scale=256, max_positions=8192,
    )  # fmt: skip
    return Sizes(config)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `llama4-explained benchmark`."""
    parser.add_argument("device", choices=["cpu"], help="where to measure")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads for both sides (default 2)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="measurements of each (default 7)")
    parser.add_argument("--output", metavar="FILE", help="draw the cost of the mixture of experts into FILE (.png)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print. Returns 0: a benchmark reports, it does not judge."""
    if arguments.threads < 1 or arguments.rounds < 1:
        raise UserError("--threads and --rounds must be at least 1")
    threads = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        report = measure_all(replace(cpu_sizes(), rounds=arguments.rounds))
    finally:
        torch.set_num_threads(threads)
    print(json.dumps(report, indent=2) if arguments.json else as_text(report))
    if arguments.output:
        from .show.costs import save_moe_costs

        save_moe_costs(report["records"], arguments.output)
    return 0


def measure_all(sizes: Sizes) -> dict[str, Any]:
    """Every comparison: versions, and one record for each op, case and implementation.

    Units:  milliseconds.
    """
    import transformers

    records: list[dict[str, Any]] = []
    with tqdm(total=3 + len(sizes.experts) + len(sizes.tokens), leave=False, disable=None) as bar, torch.no_grad():
        for op, case, sides in _comparisons(sizes):
            bar.set_description(f"{op} {case}")
            times = in_turn(sides, sizes.rounds)
            for name, ms in times.items():
                figures = {"ms_median": statistics.median(ms), "ms_min": min(ms), "ms_max": max(ms)}
                records.append({"op": op, "case": case, "impl": name, **figures})
            bar.update()
    return {
        "device": _processor_name(),
        "threads": torch.get_num_threads(),
        "llama4_explained": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "records": records,
    }


Comparison = tuple[str, str, dict[str, Callable[[], Any]]]


def _comparisons(sizes: Sizes) -> Iterator[Comparison]:
    """One after the other, so that only one holds its memory."""
    yield from _model(sizes)
    yield _photograph(sizes)
    yield from _mixtures(sizes)


def in_turn(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each side, measured in turn after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for counted in [False] + [True] * rounds:
        for name, work in sides.items():
            start = time.perf_counter()
            work()
            if counted:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def _model(sizes: Sizes) -> list[Comparison]:
    """Prefill from nothing; then decoding, where both caches grow from round to round by the same tokens."""
    from .check.hf_versions import CACHE_NAME, with_cache
    from .check.twins import pair

    ours, theirs = pair(sizes.config)
    ids = torch.randint(
        sizes.config.vocab_size, (1, sizes.prompt + sizes.new_tokens), generator=torch.Generator().manual_seed(0)
    )
    prompt, following = ids[:, : sizes.prompt], ids[:, sizes.prompt :].split(1, dim=1)

    def our_prefill() -> KVCache:
        cache = KVCache(sizes.config)
        ours(prompt, cache=cache, logits_to_keep=1)
        return cache

    def their_prefill() -> Any:
        return theirs(input_ids=prompt, use_cache=True, logits_to_keep=1)[CACHE_NAME]

    our_cache, their_cache = our_prefill(), their_prefill()

    def our_decode() -> None:
        for token in following:
            ours(token, cache=our_cache)

    def their_decode() -> None:
        for token in following:
            theirs(input_ids=token, use_cache=True, **with_cache(their_cache))

    return [
        ("prefill", f"{sizes.prompt} tokens", {"ours": our_prefill, "hf eager": their_prefill}),
        ("decode", f"{sizes.new_tokens} tokens", {"ours": our_decode, "hf eager": their_decode}),
    ]


def _photograph(sizes: Sizes) -> Comparison:
    """A photograph's way to pixel values, from a PIL image on."""
    from transformers import Llama4ImageProcessor

    width, height = sizes.photograph
    noise = torch.randint(
        256, (height // 8, width // 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    photograph = prepare_image(noise).resize(sizes.photograph)
    theirs = Llama4ImageProcessor()
    sides = {"ours": lambda: tile_image(photograph), "hf eager": lambda: theirs(photograph, return_tensors="pt")}
    return "preprocess", f"{width} x {height}", sides


def _mixtures(sizes: Sizes) -> Iterator[Comparison]:
    """One mixture of experts alone: more experts at the same tokens, then more tokens at the same experts."""
    cases = [(experts, sizes.prompt) for experts in sizes.experts]
    cases += [(sizes.config.num_experts, tokens) for tokens in sizes.tokens]
    for experts, tokens in dict.fromkeys(cases):
        yield "moe", f"{experts} experts, {tokens} tokens", _mixture(sizes.config, experts, tokens)


def _mixture(config: TextConfig, num_experts: int, num_tokens: int) -> dict[str, Callable[[], Any]]:
    from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

    from .check.twins import hf_config

    config = replace(config, num_experts=num_experts)
    generator = torch.Generator().manual_seed(0)
    ours, theirs = MixtureOfExperts(config).eval(), Llama4TextMoe(hf_config(config)).eval()
    for parameter in ours.parameters():
        parameter.normal_(0, 0.05, generator=generator)
    theirs.load_state_dict(ours.state_dict(), assign=True)
    x = torch.randn(1, num_tokens, config.hidden_size, generator=generator)
    return {"ours": lambda: ours(x), "hf eager": lambda: theirs(x)}


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def as_text(report: dict[str, Any]) -> str:
    """The report as a table, with how many times quicker ours is."""
    lines = [
        f"{report['device']}, {report['threads']} threads, float32; torch {report['torch']}, "
        f"transformers {report['transformers']}",
        "",
        f"{'':<12}{'':<28}{'ours, ms':>12}{'HF, ms':>12}{'HF / ours':>12}",
    ]
    cases: dict[tuple[str, str], dict[str, float]] = {}
    for record in report["records"]:
        cases.setdefault((record["op"], record["case"]), {})[record["impl"]] = record["ms_median"]
    for (op, case), ms in cases.items():
        ratio = ms["hf eager"] / ms["ours"]
        lines.append(f"{op:<12}{case:<28}{ms['ours']:>12.1f}{ms['hf eager']:>12.1f}{ratio:>11.2f}x")
    return "\n".join([*lines, "", "Medians of interleaved rounds."])
