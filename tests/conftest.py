"""Settings of the whole suite: no network, one thread, and modules that begin with the same weights every time."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch

if not torch.cuda.is_available():  # Triton reads it once, when it is imported, by whichever test comes first
    os.environ["TRITON_INTERPRET"] = "1"

torch.set_num_threads(1)  # the models are tiny: a second thread costs more than it does


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Whatever a test makes without a seed of its own is the same, whichever tests ran before it."""
    torch.manual_seed(0)
