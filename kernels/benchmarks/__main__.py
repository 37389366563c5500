"""`python kernels/benchmarks`: works from a checkout, with nothing installed but PyTorch and Triton."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

if __name__ == "__main__":
    from benchmarks.command import main

    sys.exit(main())
