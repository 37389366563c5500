"""For `make check-oldest`: an environment in which the oldest packages that pyproject.toml admits hide the newest.

pins           prints pyproject's lower bounds as exact requirements, so that the bounds are what is tested.
see BASE NEW   lets the virtual environment NEW see the packages of BASE behind its own: a second torch is gigabytes.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# torch and triton are left as they are for their size, JupyterLab because nothing imports it.
NOT_PINNED = {"torch", "triton", "jupyterlab"}


def pins() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = [requirement.split(";")[0].strip().split(">=") for requirement in project["dependencies"]]
    return [f"{name}=={version}" for name, version in bounds if name not in NOT_PINNED]


def see(base: Path, new: Path) -> None:
    """Writes a .pth file. Unlike a bare path, addsitedir obeys base's own .pth files, as editable installs need."""
    (packages,) = base.resolve().glob("lib/python*/site-packages")
    (own_packages,) = new.glob("lib/python*/site-packages")
    (own_packages / "base.pth").write_text(f"import site; site.addsitedir({str(packages)!r})\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["pins"]:
        print(" ".join(pins()))
    elif sys.argv[1:2] == ["see"] and len(sys.argv) == 4:
        see(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(__doc__)
