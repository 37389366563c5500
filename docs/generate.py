"""Write everything that Sphinx reads into `build/docs/source`: `make docs` runs this first.

Nothing generated lies beside what people write. The pages that a program writes are made by `docs/generators`, one
module each; what they show is measured or read in this run, or kept in `build/docs` under a digest of its inputs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))

from generators.api_pages import write_api
from generators.command_line import write_command_line
from generators.front_page import write_front_page
from generators.how_to import write_how_to
from generators.model_card import write_model_card
from generators.model_map import write_map
from generators.notebook_pages import write_notebooks
from generators.performance import write_performance
from generators.reports import make_report, write_reports
from generators.runtime import write_runtime
from generators.source_folder import BUILD, SourceFolder


def main() -> None:
    source = SourceFolder(BUILD / "source")
    report = make_report()
    lessons = write_notebooks(source)
    write_front_page(source, report)
    write_how_to(source)
    write_map(source, report, lessons)
    write_api(source)
    write_command_line(source)
    write_reports(source, report)
    write_model_card(source)
    write_performance(source)
    write_runtime(source)
    source.finish()


if __name__ == "__main__":
    main()
