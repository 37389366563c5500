"""Whether text can be read: its contrast with what lies under it, as WCAG 2 defines it."""

LEAST = 4.5  # for text of ordinary size
# Of every element of an explorer with text of its own, in HTML: that text, and its contrast.
CONTRASTS = """() => {
  const brush = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = (...layers) => {
    for (const layer of ["white", ...layers]) { brush.fillStyle = layer; brush.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...brush.getImageData(0, 0, 1, 1).data].map((value) =>
      value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const isText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())
    && !node.matches("style, .l4x-hidden") && node.getClientRects().length;
  return [...document.querySelectorAll(".l4x *")].filter(isText).map((node) => {
    const under = [];
    for (let at = node; at; at = at.parentElement) under.unshift(getComputedStyle(at).backgroundColor);
    const [ground, ink] = [luminance(...under), luminance(...under, getComputedStyle(node).color)];
    return [node.textContent, (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05)];
  });
}"""


def low_contrasts(page) -> list[tuple[str, float]]:
    """The texts that are too pale.

    Errors: AssertionError if there is no text at all.
    """
    contrasts = page.evaluate(CONTRASTS)
    assert contrasts
    return [(text, contrast) for text, contrast in contrasts if contrast < LEAST]
