"""Settings of the whole suite: no network, and one thread."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch

torch.set_num_threads(1)  # the models are tiny: a second thread costs more than it does
