// Names for screen readers where the theme gives none, or one that is not what is written.
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("nav details > summary:not([aria-label])")) {
    const link = summary.closest("li")?.querySelector("a");
    summary.setAttribute("aria-label", `Pages below ${link ? link.textContent.trim() : "this one"}`);
  }
  const misnamed = ".search-button-field[aria-label], details > summary[aria-label='Toggle hidden content']";
  for (const element of document.querySelectorAll(misnamed)) element.removeAttribute("aria-label");
});
