// The explorer of routing: its views of tokens, all of them in a row, and one of them through all layers.

/** The experts with their colours; the one that is chosen here lets its tokens stand out. */
function legend(at, say) {
  const { scope, routing } = at;
  const options = [[null, "all"], ...Array.from({ length: routing.E }, (_, expert) => [expert, String(expert)])];
  const node = choice(scope, "expert", { label: "Show the tokens of expert", options });
  const count = make("span", { class: "l4x-note" });
  const paintButtons = () =>
    node.querySelectorAll("button").forEach((button, i) => {
      if (i === 0) return;
      const { background, ink } = paint(at, i - 1, 1);
      Object.assign(button.style, { background, color: ink });
    });
  const update = () => {
    const expert = scope.model.get("expert");
    const its = routing.tokens.map((_, token) => token).filter((token) => routing.experts(token).includes(expert));
    count.textContent =
      expert === null
        ? ""
        : `${its.length} of ${routing.tokens.length} tokens in layer ${scope.model.get("layer")}, ` +
          `${its.filter((token) => routing.kinds[token] === "image").length} of them image tokens`;
  };
  scope.on("layer router expert", update);
  scope.on("expert", () => say(count.textContent || "All tokens"));
  update();
  return { node: make("div", { class: "l4x-legend" }, node, count), draw: paintButtons };
}

/** The tokens in a row, each with its expert. */
function tokenStrip(at, say) {
  const { scope, routing } = at;
  const chips = routing.tokens.map((_, token) => {
    const text = visible(routing, token);
    return make(
      "button",
      {
        type: "button",
        role: "option",
        class: `l4x-chip l4x-chip-${routing.kinds[token]}`,
        click: () => scope.set({ token }),
      },
      text ? [make("span", { dir: "auto", text }), " "] : null,
      make("b"),
    );
  });
  const strip = make("div", { class: "l4x-strip l4x-scroll", role: "listbox", "aria-label": "Tokens" }, chips);
  const current = roving(
    strip,
    () => chips,
    (token) => scope.set({ token }),
  );
  const experts = legend(at, say);
  const draw = () => {
    experts.draw();
    chips.forEach((chip, token) => {
      const shown = routing.shownOf(token);
      const { background, ink } =
        shown === null ? { background: "none", ink: "inherit" } : paint(at, shown, routing.strength(token, shown));
      chip.style.background = background;
      chip.style.color = ink;
      chip.style.borderColor = routing.kinds[token] === "control" ? "currentColor" : "transparent";
      chip.lastChild.textContent = routing.experts(token).join(" ");
      // The name begins with what is drawn: who speaks to the page says what is seen.
      const rest = `${routing.kinds[token]} token ${token}, ${routing.words(token)}`;
      chip.setAttribute("aria-label", `${chip.textContent}: ${rest}`);
    });
    mark();
  };
  const mark = () => {
    chips.forEach((chip, token) => chip.setAttribute("aria-selected", token === routing.token));
    current(routing.token);
    showInside(strip, chips[routing.token]);
  };
  scope.on("layer router scale expert", draw);
  scope.on("token", mark);
  const has = (kind) => routing.kinds.includes(kind);
  const title = `${routing.tokens.length} tokens and their experts`;
  const note =
    "The fuller the colour, the stronger. Choose a token to follow it." +
    (has("image") ? " Image tokens show only the number of their expert." : "") +
    (has("control") ? " Control tokens have a border." : "");
  return { node: panel(title, note, experts.node, strip), draw };
}

/** Scroll a box, and not the page, until a child is seen. */
function showInside(box, child) {
  const [outer, inner] = [box.getBoundingClientRect(), child.getBoundingClientRect()];
  if (inner.top < outer.top) box.scrollTop += inner.top - outer.top - 8;
  if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom + 8;
  if (inner.left < outer.left) box.scrollLeft += inner.left - outer.left - 8;
  if (inner.right > outer.right) box.scrollLeft += inner.right - outer.right + 8;
}

/** Which experts the selected token meets from layer to layer. */
function pathOfToken(at) {
  const { scope, routing } = at;
  const L = routing.layers.length;
  const rowHeight = routing.E <= 16 ? 22 : routing.E <= 32 ? 12 : 4;
  const [left, top, bottom] = [54, 12, 40];
  const height = top + routing.E * rowHeight + bottom;
  const heading = make("p", { class: "l4x-note" });
  const steps = routing.layers.map((layer) =>
    makeSvg("g", {
      role: "button",
      click: () => scope.set({ layer }),
      keydown(event) {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        scope.set({ layer });
      },
    }),
  );
  const words = steps.map(() => makeSvg("g"));
  const [labels, line] = ["l4x-labels", "l4x-line"].map((name) => makeSvg("g", { "aria-hidden": "true", class: name }));
  const svg = makeSvg(
    "svg",
    { class: "l4x-path", height, role: "group", "aria-label": "The token's path: a button for each layer" },
    steps,
    labels,
    line,
  );
  const box = make("div", { class: "l4x-scroll" }, svg);
  const below = (line) => height - bottom + 12 + 17 * line;
  const current = roving(
    svg,
    () => steps,
    (layer) => scope.set({ layer: routing.layers[layer] }),
  );
  const word = (x, y, text, more = {}) =>
    makeSvg("text", { x, y, text, "text-anchor": "middle", "dominant-baseline": "central", ...more });

  let [column, cells] = [0, []];
  const x = (layer) => left + (layer + 0.5) * column;
  const y = (expert) => top + (expert + 0.5) * rowHeight;

  /** What depends on the width alone. */
  const layOut = () => {
    const wanted = Math.max(35, Math.min(60, Math.floor((box.clientWidth - left - 2) / L)));
    if (wanted === column) return;
    column = wanted;
    svg.setAttribute("width", left + L * column + 2);
    const size = { width: column - 2, height: rowHeight > 4 ? rowHeight - 1 : rowHeight, fill: "currentColor" };
    cells = routing.layers.map((_, layer) =>
      Array.from({ length: routing.E }, (_, expert) =>
        makeSvg("rect", { x: x(layer) - column / 2 + 1, y: top + expert * rowHeight, ...size }),
      ),
    );
    const step = routing.E <= 16 ? 1 : routing.E <= 32 ? 4 : 16;
    const numbers = Array.from({ length: Math.ceil(routing.E / step) }, (_, i) =>
      word(left - 8, y(i * step), i * step, { "text-anchor": "end" }),
    );
    const titles = ["layer", "strength"].map((text, i) =>
      word(left - 6, below(i), text, { "text-anchor": "end", class: "l4x-quiet" }),
    );
    steps.forEach((group, layer) => group.replaceChildren(...cells[layer], words[layer]));
    labels.replaceChildren(...numbers, ...titles);
  };

  const draw = () => {
    layOut();
    const { token } = routing;
    heading.textContent = `${routing.name(token)}. In every layer its expert, and below how strongly.`;
    steps.forEach((group, layer) => {
      const isHere = layer === routing.layer;
      routing
        .strengthsOf(token, layer)
        .forEach((strength, expert) =>
          cells[layer][expert].setAttribute("fill-opacity", (0.04 + (0.36 * strength) / 255).toFixed(2)),
        );
      const texts = [
        `${isHere ? "▸" : ""}${routing.layers[layer]}`,
        routing.strength(token, routing.experts(token, layer)[0], layer).toFixed(2),
      ].map((text, i) => word(x(layer), below(i), text, { class: isHere ? "l4x-here" : null }));
      words[layer].replaceChildren(texts[0], " ", texts[1]); // the space parts them for readers
      // The name has what is drawn, in that order: the layer, and the strength of its first expert.
      setAll(group, {
        "aria-label": `Layer ${routing.layers[layer]}: ${routing.words(token, layer)}`,
        "aria-pressed": isHere,
      });
    });
    const points = routing.layers.map((_, layer) => `${x(layer)},${y(routing.experts(token, layer)[0])}`).join(" ");
    const circles = routing.layers.flatMap((_, layer) =>
      routing
        .experts(token, layer)
        .toReversed()
        .flatMap((expert) => {
          const color = rgb(expertColor(expert));
          return [
            makeSvg("circle", {
              cx: x(layer),
              cy: y(expert),
              r: expert < 100 ? 11 : 13,
              fill: css(color),
              stroke: "currentColor",
              "stroke-width": 1.5,
            }),
            word(x(layer), y(expert), expert, { style: `fill: ${textOn(color)}; font-weight: 600` }),
          ];
        }),
    );
    line.replaceChildren(
      makeSvg("polyline", { points, fill: "none", stroke: "currentColor", "stroke-width": 2 }),
      ...circles,
    );
    current(routing.layer);
    showInside(box, steps[routing.layer]);
  };
  scope.on("layer router scale token", draw);
  return { node: panel("The token's path through the layers", null, heading, box), draw };
}
