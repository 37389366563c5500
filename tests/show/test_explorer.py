import base64
import json
import re
import tomllib
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import traitlets
from PIL import Image

from llama4_explained.errors import UserError
from llama4_explained.show import colors, explorer, journey
from llama4_explained.show.explorer import Explorer, source

SCRIPT = "function render({ model, el }) { el.append(model.get('word')); }\nexport default { render };\n"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def toy(tmp_path):
    """An explorer that says a word."""
    (tmp_path / "toy.js").write_text(SCRIPT, encoding="utf-8")

    class Toy(Explorer):
        script = str(tmp_path / "toy.js")
        word = traitlets.Unicode("<b> & </script>").tag(sync=True)
        numbers = traitlets.Bytes(bytes(range(256))).tag(sync=True)
        secret = 1

        def still(self):
            figure = plt.figure(figsize=(2, 1))
            figure.text(0.5, 0.5, "a word")
            return figure

        def __repr__(self):
            return "Toy: a word"

    return Toy(alt='A "word" & more')


def state_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def test_scripts_and_styles_are_joined(toy):
    assert toy._esm == source("common.js") + source("controls.js") + SCRIPT
    assert toy._css == source("explorer.css")


def test_notebooks_get_the_widget_and_a_still(toy):
    data, metadata = toy._repr_mimebundle_()
    assert data[WIDGET_VIEW]["model_id"] == toy.model_id
    assert data["text/plain"] == "Toy: a word" == repr(toy)
    assert Image.open(BytesIO(base64.b64decode(data["image/png"]))).size == (200, 100)
    assert metadata["image/png"] == {"alt": 'A "word" & more'}
    assert not plt.get_fignums(), "an open figure would be shown once more"


def test_the_still_is_the_same_every_time(toy):
    assert toy._repr_mimebundle_()[0]["image/png"] == toy._repr_mimebundle_()[0]["image/png"]


def test_one_without_a_still_says_so(tmp_path):
    (tmp_path / "bare.js").write_text(SCRIPT, encoding="utf-8")
    bare = type("Bare", (Explorer,), {"script": str(tmp_path / "bare.js")})()
    with pytest.raises(NotImplementedError, match="Bare must say"):
        bare.still()


def test_a_page_holds_the_state_and_nothing_of_jupyter(toy):
    state = state_of(toy.to_html())
    assert state.keys() == {"alt", "word", "numbers"}
    assert state["word"] == toy.word and base64.b64decode(state["numbers"]["base64"]) == toy.numbers


def test_a_page_needs_no_other_file_or_host(toy):
    page = toy.to_html()
    assert page.count("</script>") == 2, "no text of the state may end a script"
    assert addresses(page) == []
    assert 'alt="A &quot;word&quot; &amp; more"' in page and "default-src 'none'" in page


def addresses(page: str) -> list[str]:
    """Whatever a browser could load; the name of SVG only looks like an address."""
    page = page.replace('"http://www.w3.org/2000/svg"', "")
    return re.findall(
        r"""https?:|[("'=]//|@import|\bimport\b *[("'{*]|\bfetch\(|(?:src|href)=["']?(?!["']?data:)""", page
    )


def test_a_page_is_saved(toy, tmp_path):
    toy.save_html(tmp_path / "toy.html")
    assert (tmp_path / "toy.html").read_text(encoding="utf-8") == toy.to_html()
    with pytest.raises(UserError, match="cannot write"):
        toy.save_html(tmp_path / "nowhere" / "toy.html")


def test_colours_are_those_of_the_figures():
    script = source("common.js")
    assert {name: value for name, value in re.findall(r'(\w+): "(#\w{6})"', script)} == {
        "black": colors.BLACK, "grey": colors.GREY, "orange": colors.ORANGE, "skyBlue": colors.SKY_BLUE,
        "green": colors.GREEN, "yellow": colors.YELLOW, "blue": colors.BLUE, "vermilion": colors.VERMILION,
        "purple": colors.PURPLE,
    }  # fmt: skip
    first_eight = [colors.ORANGE, colors.SKY_BLUE, colors.GREEN, colors.YELLOW, colors.BLUE, colors.VERMILION,
                   colors.PURPLE, colors.GREY]  # fmt: skip
    darker = re.findall(r'"(#\w{6})",', script.partition("EXPERT_COLORS = [")[2].partition("]")[0])
    assert first_eight + darker == journey.EXPERT_COLORS


def test_several_scripts_and_a_style_are_joined(tmp_path):
    for name in ("one.js", "two.js", "own.css"):
        (tmp_path / name).write_text(f"/* {name} */\n", encoding="utf-8")
    scripts = tuple(str(tmp_path / name) for name in ("one.js", "two.js"))
    cls = type("Joined", (Explorer,), {"script": scripts, "style": str(tmp_path / "own.css")})
    assert cls._esm.endswith(source("controls.js") + "/* one.js */\n/* two.js */\n")
    assert cls._css == source("explorer.css") + "/* own.css */\n"


def test_the_wheel_carries_scripts_and_styles():
    root = Path(explorer.__file__).parents[2]
    wheel = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert explorer.SOURCES.relative_to(root).parts[0] in wheel["only-include"]
