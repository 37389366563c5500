"""What several kernels share: codes to numbers, starting before the previous kernel ends, sums of several programs.

The interpreter knows no PTX: there, and only there, `PTX` is False and the same is said in Triton's own operations.
"""

import os

import torch
import triton
import triton.language as tl

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

# Two words at a time: shift, then one instruction that keeps four bits of each and puts them below 0x4300. A bfloat16
# with these upper bits is 128 + its lower four bits, exactly.
_UNPACK = "{ .reg .b32 t; shr.u32 t, $1, %d; lop3.b32 $0, t, 0x000F000F, 0x43004300, 0xEA; }"
UNPACK: tl.constexpr = tl.constexpr(tuple(_UNPACK % shift for shift in (0, 4, 8, 12)))

# One thread asks for a run of memory, which the second-level cache then fetches on its own.
PREFETCH: tl.constexpr = tl.constexpr(
    "{ .reg .pred p; .reg .b32 t; mov.u32 t, %tid.x; setp.eq.u32 p, t, 0;"
    " @p cp.async.bulk.prefetch.L2.global [$1], $2; mov.u32 $0, 0; }"
)


@triton.jit
def unpack_int4(words, PLACE: tl.constexpr, PTX: tl.constexpr):
    """128 + the code at PLACE (0 ... 3, lowest bits first) of each 16-bit word, as bfloat16."""
    if PTX:
        return tl.inline_asm_elementwise(UNPACK[PLACE], "=r,r", [words], dtype=tl.bfloat16, is_pure=True, pack=2)
    else:
        return (((words >> (4 * PLACE)) & 15) | 0x4300).to(tl.bfloat16, bitcast=True)


@triton.jit
def scale_of(pair):
    """float32 scale from the lower half of a 32-bit number; bfloat16 is float32's upper half."""
    return (pair << 16).to(tl.float32, bitcast=True)


@triton.jit
def zero_of(pair):
    """float32 zero from the upper half of a 32-bit number."""
    return (pair & -65536).to(tl.float32, bitcast=True)


@triton.jit
def prefetch(pointer, BYTES: tl.constexpr):
    """Have the next BYTES (a multiple of 16) fetched into the second-level cache."""
    tl.inline_asm_elementwise(PREFETCH, "=r,l,n", [pointer, BYTES], dtype=tl.int32, is_pure=False, pack=1)


@triton.jit
def wait_for_previous(PTX: tl.constexpr):
    """From here on, all that earlier kernels wrote is there. What stands before this overlaps with their end."""
    if PTX:
        tl.extra.cuda.gdc_wait()


@triton.jit
def let_next_start(PTX: tl.constexpr):
    """The next kernel may be brought onto the multiprocessors, up to its own `wait_for_previous`."""
    if PTX:
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def store_sum(out_ptr, partial_ptr, counter_ptr, value, offset, mask, size, part, PARTS: tl.constexpr):
    """Store the sum over PARTS programs of `value`: who comes last adds up, always in the same order.

    Each program writes its value to [part, offset] of the partial sums, then counts itself. The counter is left at 0.
    """
    if PARTS == 1:
        tl.store(out_ptr + offset, value.to(out_ptr.dtype.element_ty), mask=mask)
    else:
        tl.store(partial_ptr + part * size + offset, value, mask=mask)
        tl.debug_barrier()  # all threads have written before one of them counts
        if tl.atomic_add(counter_ptr, 1, sem="acq_rel", scope="gpu") == PARTS - 1:
            total = tl.load(partial_ptr + offset, mask=mask, other=0.0, cache_modifier=".cg")
            for other in tl.static_range(1, PARTS):
                total += tl.load(partial_ptr + other * size + offset, mask=mask, other=0.0, cache_modifier=".cg")
            tl.store(out_ptr + offset, total.to(out_ptr.dtype.element_ty), mask=mask)
            tl.store(counter_ptr, 0)


MOST_COUNTERS = 2**16  # programs of one launch that count: a few hundred in practice
GRAPHS = "graphs"
_counters: dict[tuple[int, int | str], torch.Tensor] = {}


def counters(device: torch.device, count: int) -> torch.Tensor:
    """Zeros to count in, which kernels leave at zero; they are made once and never freed, as graphs keep their address.

    Each stream has a set of its own, since its kernels follow each other, and all CUDA graphs share one: two graphs
    with these kernels must not run at the same time.
    Errors: RuntimeError in a CUDA graph if nothing has run on the device before; ValueError for too many programs.
    """
    if count > MOST_COUNTERS:
        raise ValueError(f"{count} programs would count, at most {MOST_COUNTERS} can: split K into fewer parts")
    index, stream = device.index or 0, _stream_of(device)
    if (index, stream) not in _counters:
        if stream == GRAPHS:
            raise RuntimeError("call the kernels once on this device before they are captured in a CUDA graph")
        for owner in (stream, GRAPHS):
            if (index, owner) not in _counters:
                _counters[index, owner] = torch.zeros(MOST_COUNTERS, dtype=torch.int32, device=device)
    return _counters[index, stream]


def _stream_of(device: torch.device) -> int | str:
    if device.type != "cuda":
        return 0
    return GRAPHS if torch.cuda.is_current_stream_capturing() else torch.cuda.current_stream(device).cuda_stream


def workspace(
    x: torch.Tensor, num_rows: int, programs: int, splits: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For `store_sum`: a bfloat16 product [M, num_rows], partial sums, and a counter for each of `programs`."""
    out = torch.empty(len(x), num_rows, dtype=torch.bfloat16, device=x.device)
    if splits == 1:
        return out, out, out  # no sums of parts, nothing to count
    partial = torch.empty(splits, len(x), num_rows, dtype=torch.float32, device=x.device)
    return out, partial, counters(x.device, programs)


def launch_options() -> dict[str, bool]:
    """Of kernels that call `wait_for_previous`: they are launched while the previous one still runs."""
    return {"PTX": False} if INTERPRETED else {"PTX": True, "launch_pdl": True}
