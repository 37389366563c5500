"""What axe, which knows the rules of WCAG, holds against a page."""

from pathlib import Path

AXE = (Path(__file__).parent / "site" / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """async options => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"], ...options });
    return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ html, failureSummary }) => ({
        rule: id, impact, html: html.slice(0, 200), why: failureSummary,
    })));
}"""
BARRED = ("serious", "critical")
# The options for a page in dark colours, once it has passed in light ones: the other rules see no colours.
COLORS_ALONE = {"runOnly": ["color-contrast", "link-in-text-block"]}


def barred_faults(page, **options: object) -> list[dict[str, str]]:
    """The faults that keep somebody from using the page: `rule`, `impact`, `html` and `why` of each."""
    page.evaluate(AXE)
    return [fault for fault in page.evaluate(RUN_AXE, options) if fault["impact"] in BARRED]
