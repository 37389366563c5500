"""Graphics cards and Macs that people run models on, and how much memory a model finds there."""

from __future__ import annotations

from dataclasses import dataclass

# What the driver's context, the libraries' workspaces and gaps between tensors take.
RESERVED_GIB = 1


@dataclass(frozen=True)
class Device:
    """One kind of device.

    Units: `gib` as PyTorch reports the device's total capacity, rounded down: less than the number it is sold by. On a
        Mac, the three quarters of its memory that macOS leaves to the GPU unless told otherwise.
    """

    name: str
    gib: int
    shares_models: bool = True  # whether several of them can hold one model together

    def num_needed(self, divided: int, on_each: int, max_parts: int) -> int | None:
        """The fewest devices that hold a model of `divided` bytes in equal parts, and `on_each` bytes besides.

        None if not even `max_parts` of them do.
        """
        room = (self.gib - RESERVED_GIB) * 2**30 - on_each
        if room <= 0:
            return None
        needed = max(1, -(-divided // room))
        return needed if needed <= (max_parts if self.shares_models else 1) else None


DEVICES = (
    Device("NVIDIA RTX 4090 24 GB", 23),
    Device("NVIDIA RTX 5090 32 GB", 31),
    Device("NVIDIA A100 40 GB", 39),
    Device("NVIDIA L40S 48 GB", 44),
    Device("NVIDIA A100 80 GB", 79),
    Device("NVIDIA H100 80 GB", 79),
    Device("NVIDIA RTX PRO 6000 96 GB", 94),
    Device("NVIDIA H200 141 GB", 139),
    Device("NVIDIA B200 180 GB", 178),
    Device("AMD MI300X 192 GB", 191),
    Device("Apple Mac 64 GB", 48, shares_models=False),
    Device("Apple Mac 96 GB", 72, shares_models=False),
    Device("Apple Mac 128 GB", 96, shares_models=False),
    Device("Apple Mac 192 GB", 144, shares_models=False),
    Device("Apple Mac 256 GB", 192, shares_models=False),
    Device("Apple Mac 512 GB", 384, shares_models=False),
)
