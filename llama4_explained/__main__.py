"""`python -m llama4_explained` is the command line."""

import sys

from .cli import main

sys.exit(main())
