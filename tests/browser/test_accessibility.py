"""Every explorer under the rules of WCAG, in light and dark: among them, that names contain what is drawn."""

import pytest
from PIL import Image

from axe import barred_faults
from llama4_explained import SCOUT
from llama4_explained.show.mask_explorer import MaskExplorer
from llama4_explained.show.tile_explorer import TileExplorer

from .routing_pages import scene

EXPLORERS = {
    "masks": lambda: MaskExplorer.of(SCOUT.text, num_tokens=24, chunk_size=8, padding=3),
    "routing": scene,
    "tiles": lambda: TileExplorer.of(Image.effect_noise((900, 600), 90)),
}


@pytest.mark.parametrize("name", EXPLORERS)
def test_nobody_is_kept_out(open_page, name):
    page = open_page(EXPLORERS[name]())
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    for color_scheme in ("light", "dark"):
        page.emulate_media(color_scheme=color_scheme)
        assert not barred_faults(page), color_scheme
