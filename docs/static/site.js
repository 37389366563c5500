// Names for screen readers where the theme gives none, or one that is not what is written.
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("nav details > summary:not([aria-label])")) {
    const link = summary.closest("li")?.querySelector("a");
    summary.setAttribute("aria-label", `Pages below ${link ? link.textContent.trim() : "this one"}`);
  }
  const misnamed = ".search-button-field[aria-label], details > summary[aria-label='Toggle hidden content']";
  for (const element of document.querySelectorAll(misnamed)) element.removeAttribute("aria-label");
});

// A figure that is shown smaller than it is opens at its whole size, which a phone needs.
addEventListener("load", () => {
  for (const picture of document.querySelectorAll(".cell_output > img, section > img")) {
    if (picture.naturalWidth <= picture.clientWidth) continue;
    const link = Object.assign(document.createElement("a"), { className: "whole", href: picture.src });
    picture.replaceWith(link);
    link.append(picture);
  }
});
