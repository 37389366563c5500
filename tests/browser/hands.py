"""What a reader's hands do: the mouse on a slider, the tab key from control to control."""

THUMB = 16  # pixels: the mark's middle goes no further to the sides than half of it

# Its role, or for want of one its type or element, its name, and how thick the line around it is.
FOCUSED = """() => {
    const node = document.activeElement;
    const role = node.getAttribute("role") ?? node.getAttribute("type") ?? node.tagName.toLowerCase();
    const name = node.getAttribute("aria-label") ?? node.innerText;
    return [role, name, parseFloat(getComputedStyle(node).outlineWidth)];
}"""


def slide(slider, share: float) -> None:
    """Click on a slider where it has `share` of its way behind it."""
    box = slider.bounding_box()
    slider.click(position={"x": THUMB / 2 + share * (box["width"] - THUMB), "y": box["height"] / 2})


def tab_stops(page) -> list[str]:
    """Where the tab key leads, from the start of the page to its end: "role, name" of each.

    Errors: AssertionError if it cannot be seen where the focus is.
    """
    stops = []
    for _ in range(50):
        page.keyboard.press("Tab")
        role, name, outline = page.evaluate(FOCUSED)
        if role == "body":
            return stops
        assert outline >= 1, f"the focus cannot be seen on {name}"
        stops.append(f"{role}, {' '.join(name.split())}")
    raise AssertionError(f"the tab key does not come out again: {stops}")
