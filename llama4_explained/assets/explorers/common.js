// What all explorers share. An explorer is this text, then its own file, which ends with `export default { render }`.
//
//   function render({ model, el }) {
//     const scope = new Scope(model);
//     const root = scope.root(el);             // the element that everything else lies in
//     const say = liveRegion(root);            // say("...") tells readers of the screen
//     scope.on("layer", draw);                 // whenever the trait changes, from here or from Python
//     draw();
//     return () => scope.close();              // unsubscribes, and empties `el`
//   }
//
// Nothing here has an id, or lives outside `el`: several explorers on one page do not know of each other.

// Okabe and Ito's colours, which stay apart for colour-blind readers; the same as in the figures.
const COLORS = {
  black: "#000000",
  grey: "#999999",
  orange: "#E69F00",
  skyBlue: "#56B4E9",
  green: "#009E73",
  yellow: "#F0E442",
  blue: "#0072B2",
  vermilion: "#D55E00",
  purple: "#CC79A7",
};
// For more than eight experts, darker cousins of the first eight; from the seventeenth on they repeat.
const EXPERT_COLORS = [
  COLORS.orange,
  COLORS.skyBlue,
  COLORS.green,
  COLORS.yellow,
  COLORS.blue,
  COLORS.vermilion,
  COLORS.purple,
  COLORS.grey,
  "#8C5F00",
  "#1F6F9C",
  "#00573F",
  "#A09710",
  "#003E63",
  "#7A3600",
  "#8A3F66",
  "#4D4D4D",
];
const expertColor = (expert) => EXPERT_COLORS[expert % EXPERT_COLORS.length];

const SVG = "http://www.w3.org/2000/svg"; // a name, not an address: nothing is loaded from it

/** An HTML element. Attributes: `text` is its text, `class` its class, a function is a listener (`click: (event) => ...`). */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, in the same way. */
function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  setAll(node, attributes);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set attributes of an element; null, undefined and false remove one. `aria-*` and `data-*` keep true and false as words. */
function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const isWord = name.startsWith("aria-") || name.startsWith("data-");
    if (name === "text") node.textContent = value;
    else if (typeof value === "function") node.addEventListener(name, value);
    else if (value === null || value === undefined || (value === false && !isWord)) node.removeAttribute(name);
    else node.setAttribute(name, value === true && !isWord ? "" : value);
  }
  return node;
}

/** A trait of bytes as a typed array: `typed(model.get("scores"), Uint8Array)`. Copies, because a view may lie anywhere. */
function typed(view, Type) {
  if (!view) return new Type(0);
  const buffer = view.buffer ? view.buffer : view;
  const start = view.byteOffset ?? 0;
  return new Type(buffer.slice(start, start + view.byteLength));
}

/** Subscriptions of one view. `close()` ends them all and empties the element. */
class Scope {
  constructor(model) {
    this.model = model;
    this.endings = [];
  }

  /** The element in which an explorer lives; its label is the trait `alt`. */
  root(el) {
    const root = make("div", { class: "l4x", role: "group", "aria-label": this.model.get("alt") });
    root.addEventListener("keydown", (event) => {
      // JupyterLab would have these move between cells. All others, such as those that save, stay its own.
      if (/^(Arrow|Home|End|Page|Enter| )/.test(event.key) && !event.ctrlKey && !event.metaKey) event.stopPropagation();
    });
    this.on("alt", () => root.setAttribute("aria-label", this.model.get("alt")));
    el.append(root);
    this.endings.push(() => root.remove());
    return root;
  }

  /** Call `react` whenever one of the traits changes ("layer", or "layer token"), whoever changed it. */
  on(traits, react) {
    for (const trait of traits.split(" ")) {
      const event = `change:${trait}`;
      this.model.on(event, react);
      this.endings.push(() => this.model.off(event, react));
    }
  }

  /** Listen to something that outlives the view, such as `window`. */
  listen(target, event, react) {
    target.addEventListener(event, react);
    this.endings.push(() => target.removeEventListener(event, react));
  }

  /** Set traits, here and in Python: `scope.set({ layer: 3 })`. Reactions come by way of `on`. */
  set(traits) {
    for (const [name, value] of Object.entries(traits)) this.model.set(name, value);
    this.model.save_changes();
  }

  /** Call `react` when an element's width changes. */
  onResize(node, react) {
    let width = null;
    const observer = new ResizeObserver(([entry]) => {
      const now = Math.round(entry.contentRect.width);
      if (now !== width) react((width = now));
    });
    observer.observe(node);
    this.endings.push(() => observer.disconnect());
  }

  /** Call `react` when the page may have changed between light and dark. */
  onTheme(react) {
    this.listen(window.matchMedia("(prefers-color-scheme: dark)"), "change", react);
    const observer = new MutationObserver(react);
    for (const node of [document.documentElement, document.body])
      observer.observe(node, {
        attributes: true,
        attributeFilter: ["class", "style", "data-theme", "data-mode", "data-jp-theme-name"],
      });
    this.endings.push(() => observer.disconnect());
  }

  close() {
    for (const end of this.endings.splice(0).reverse()) end();
  }
}

/** Adds a place that screen readers read out; returns `say(text)`, which is quiet if nothing has changed. */
function liveRegion(root) {
  const region = make("p", { class: "l4x-hidden", role: "status", "aria-live": "polite" });
  root.append(region);
  return (text) => {
    if (region.textContent !== text) region.textContent = text;
  };
}

/** [red, green, blue], 0 to 255, of whatever CSS calls a colour; what shines through is `under`. */
function rgb(color, under = [255, 255, 255]) {
  const key = `${color} on ${under}`;
  if (!KNOWN.has(key)) {
    const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    for (const layer of [css(under), color]) {
      brush.fillStyle = layer;
      brush.fillRect(0, 0, 1, 1);
    }
    KNOWN.set(key, [...brush.getImageData(0, 0, 1, 1).data.slice(0, 3)]);
  }
  return KNOWN.get(key);
}
const KNOWN = new Map(); // asking a canvas is slow

/** The colours of the page around: `surface` and `text`, as [red, green, blue]. */
function themeOf(root) {
  const style = getComputedStyle(root);
  const surface = rgb(style.backgroundColor);
  return { surface, text: rgb(style.color, surface) };
}

/** A colour laid on a surface, both [red, green, blue]; share 0 leaves the surface, 1 covers it. */
function mix(color, surface, share) {
  return color.map((value, i) => Math.round(surface[i] + (value - surface[i]) * share));
}

const css = (color) => `rgb(${color.join(" ")})`;

/** Black or white, whichever reads better on a colour; the better of the two has a contrast of 4.5 at least. */
function textOn(color) {
  const [r, g, b] = color.map((value) => {
    const x = value / 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** A canvas's brush, sharp on every screen. Width and height are CSS pixels. */
function brushOf(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const brush = canvas.getContext("2d");
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  return brush;
}
