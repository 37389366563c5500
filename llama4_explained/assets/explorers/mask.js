// The controls, and the mask as a grid; the other views are in mask_strips.js.

const RULES = {
  chunked: { name: "Chunked", where: "RoPE layers" },
  causal: { name: "Causal", where: "NoPE layers" },
  sliding: { name: "Sliding window", where: "not in Llama 4" },
};
const MOST_TOKENS = 64;
const STACK = 4; // layers whose influence is drawn
const LEGEND = {
  seen: "may look",
  row: "chosen token looks here",
  column: "looks at chosen token",
  past: "earlier, out of reach",
  padding: "padding",
};

/** The explorer's numbers, made to fit each other: padding leaves one real token, the chosen token exists. */
function settingsOf(model) {
  const numTokens = model.get("num_tokens");
  const padding = Math.min(model.get("padding"), numTokens - 1);
  return {
    numTokens,
    padding,
    positions: positionsOf(numTokens, padding),
    slots: [...Array(numTokens).keys()],
    chunk: model.get("chunk_size"),
    chosen: Math.min(model.get("query"), numTokens - 1),
    rule: model.get("rule"),
  };
}

const ruleOfLayer = (model, layer) => (model.get("rope_layers")[layer] ? "chunked" : "causal");

/** Three small masks, of which one is chosen. */
function ruleCards(scope, root) {
  const names = Object.keys(RULES);
  const cards = names.map((rule) =>
    make(
      "button",
      { type: "button", role: "radio", click: () => scope.set({ rule }) },
      decorative(),
      make("span", {}, make("b", { text: RULES[rule].name }), make("small", { text: RULES[rule].where })),
    ),
  );
  const group = make("div", { class: "l4x-mask-rules", role: "radiogroup", "aria-label": "Rule" }, cards);
  const current = roving(
    group,
    () => cards,
    (index) => scope.set({ rule: names[index] }),
  );
  const draw = () => {
    const { numTokens, positions, chunk, rule } = settingsOf(scope.model);
    const [colors, cell] = [colorsOf(root), 56 / numTokens];
    names.forEach((name, index) => {
      const brush = brushOf(cards[index].firstChild, 58, 58);
      brush.strokeStyle = colors.line;
      brush.strokeRect(0.5, 0.5, 57, 57);
      brush.fillStyle = colors.row;
      maskOf(name, positions, positions, chunk).forEach((line, query) =>
        line.forEach((seen, key) => seen && brush.fillRect(1 + key * cell, 1 + query * cell, cell + 0.5, cell + 0.5)),
      );
      cards[index].setAttribute("aria-checked", name === rule);
    });
    current(names.indexOf(rule));
  };
  return { group, draw };
}

/** Why a query may look at a key, or may not. */
function reasonOf({ positions, chunk }, rule, query, key) {
  const [from, to] = [positions[query], positions[key]];
  if (to === PADDING) return "not seen, it is padding";
  if (from === PADDING) return "not seen, the query is padding";
  if (to > from) return "not seen, it comes later";
  if (mayLook(rule, from, to, chunk)) return "seen";
  return rule === "chunked" ? "not seen, it is in another chunk" : `not seen, it is more than ${chunk - 1} back`;
}

/** What is worth knowing about the chosen token, or null. */
function factAbout({ positions, chunk }, query) {
  const position = positions[query];
  if (position === PADDING) return "Padding sees nobody and nobody sees it. Positions and chunks begin after it.";
  if (chunk === null || position === 0 || position % chunk) return null;
  const window = Math.min(chunk, position + 1);
  return `The first of its chunk: with chunks it sees only itself. A sliding window would show it ${window} tokens.`;
}

/** The grid, and in words what it says of one token. */
function maskView(scope, root, say) {
  const { model } = scope;
  const cards = ruleCards(scope, root);
  const grid = make("canvas", {
    role: "application",
    "aria-roledescription": "mask",
    "aria-label": "Mask. Up and down choose the token that looks, left and right the key that it looks at.",
  });
  const box = make("div", {}, grid);
  const said = make("div", { class: "l4x-mask-said" });
  const legend = Object.keys(LEGEND).map((kind) => make("span", {}, decorative(), LEGEND[kind]));
  let [hovered, key, boxWidth] = [null, model.get("query"), 320];

  const layout = () => {
    const [numTokens, left, top] = [model.get("num_tokens"), 34, 22];
    const side = Math.min(26 * numTokens, Math.min(boxWidth, 470) - left - 2);
    return { rows: numTokens, columns: numTokens, left, top, width: side, height: side };
  };
  const shown = () => {
    const now = settingsOf(model);
    const [query, column] = hovered ?? [now.chosen, key];
    return { ...now, query: Math.min(query, now.numTokens - 1), column: Math.min(column, now.numTokens - 1) };
  };
  const draw = () => {
    const now = shown();
    paintMask(grid, colorsOf(root), now, layout());
    const words = describe(now);
    said.replaceChildren(
      make("strong", { text: words.title }),
      make(
        "dl",
        {},
        words.rows.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]),
      ),
      make("p", { text: words.pair }),
      words.fact ? make("p", { class: "l4x-mask-fact", text: words.fact }) : "",
    );
    if (!hovered)
      say([words.title, ...words.rows.map((row) => row.join(" ")), words.pair, words.fact ?? ""].join(". "));
  };
  gridCursor(grid, {
    size: layout,
    at: () => ({ row: settingsOf(model).chosen, column: shown().column }),
    choose(row, column) {
      [key, hovered] = [column, null];
      scope.set({ query: row });
      draw();
    },
    over(row, column) {
      hovered = row === null ? null : [row, column];
      draw();
    },
  });
  scope.onResize(box, (width) => ((boxWidth = width), draw()));
  const drawAll = () => {
    const colors = colorsOf(root);
    Object.keys(LEGEND).forEach((kind, i) => {
      paintCell(brushOf(legend[i].firstChild, 14, 14), colors, kind, 0, 0, 14);
    });
    cards.draw();
    draw();
  };
  const view = panel(
    "Who may look at whom",
    "Rows are queries, columns are keys. Point at a cell, or use the arrow keys.",
    cards.group,
    make("div", { class: "l4x-mask-main" }, box, said),
    make("div", { class: "l4x-mask-legend" }, legend),
  );
  return { view, draw: drawAll };
}

/** In words: what the token `query` sees, who sees it, and why it sees the key `column` or does not. */
function describe({ positions, slots, chunk, rule, query, column }) {
  const list = (seen) => (seen.length ? `${rangesOf(seen)} (${seen.length})` : "nobody");
  const sees = (name) => slots.filter((slot) => mayLook(name, positions[query], positions[slot], chunk));
  const seenBy = slots.filter((slot) => mayLook(rule, positions[slot], positions[query], chunk));
  const place = positions[query] === PADDING ? "padding" : `position ${positions[query]}`;
  const inChunk =
    positions[query] === PADDING || chunk === null ? "" : `, chunk ${Math.floor(positions[query] / chunk)}`;
  const others = Object.keys(RULES).filter((name) => name !== rule);
  return {
    title: `Token ${query}: ${place}${inChunk}`,
    rows: [
      ["sees", list(sees(rule))],
      ["is seen by", list(seenBy)],
      ...others.map((name) => [RULES[name].name.toLowerCase(), `would see ${list(sees(name))}`]),
    ],
    pair: `Query ${query}, key ${column}: ${reasonOf({ positions, chunk }, rule, query, column)}.`,
    fact: factAbout({ positions, chunk }, query),
  };
}

/** The sliders, and under them all layers of the model: the high bars are NoPE layers. */
function controlsOf(scope) {
  const { model } = scope;
  const rope = model.get("rope_layers");
  const nameOf = (layer) => `${layer}: ${rope[layer] ? "RoPE, sees its chunk" : "NoPE, sees everything"}`;
  const real = model.get("model").chunk_size;
  const hint =
    real === null ? "This model has no chunks" : `This model's own chunk: ${real.toLocaleString("en")} tokens`;
  const sliders = {
    num_tokens: slider(scope, "num_tokens", { label: "Tokens", min: 1, max: MOST_TOKENS }),
    chunk_size: slider(scope, "chunk_size", {
      label: real === null ? "Chunk" : `Chunk (the model's: ${real.toLocaleString("en")})`,
      min: 1,
      max: MOST_TOKENS,
      hint,
      show: (size) => `${size ?? "none"}`,
    }),
    padding: slider(scope, "padding", { label: "Padding on the left", min: 0, max: MOST_TOKENS - 1 }),
    query: slider(scope, "query", { label: "Chosen token", min: 0, max: MOST_TOKENS - 1 }),
    layer: slider(scope, "layer", {
      label: `Layer, of ${rope.length} (high bars: NoPE)`,
      min: 0,
      max: rope.length - 1,
      show: nameOf,
    }),
  };
  const inputOf = (name) => sliders[name].querySelector("input");
  inputOf("layer").addEventListener("input", () => scope.set({ rule: ruleOfLayer(model, model.get("layer")) }));
  const bars = rope.map((uses) => make("i", { class: uses ? "" : "nope" }));
  const draw = () => {
    const last = model.get("num_tokens") - 1;
    for (const name of ["padding", "query"]) {
      inputOf(name).max = last;
      if (model.get(name) > last) scope.set({ [name]: last });
      inputOf(name).value = model.get(name);
    }
    bars.forEach((bar, layer) => bar.classList.toggle("here", layer === model.get("layer")));
  };
  const view = [
    make("div", { class: "l4x-controls l4x-mask-controls" }, Object.values(sliders)),
    make("div", { class: "l4x-mask-layers", "aria-hidden": "true" }, bars),
  ];
  return { view, draw };
}

function render({ model, el }) {
  const scope = new Scope(model);
  const root = scope.root(el);
  const say = liveRegion(root);
  // `alt` stays what it was at first where no kernel runs, so that it would soon be wrong as the name of the whole.
  const name = () => root.setAttribute("aria-label", "Attention masks to explore");
  scope.on("alt", name);
  name();
  const controls = controlsOf(scope);
  const parts = [
    maskView(scope, root, say),
    cacheView(scope, root),
    influenceView(scope, root),
    temperatureView(scope, root),
  ];
  root.append(...controls.view, ...parts.map(({ view }) => view));
  const draw = () => [controls, ...parts].forEach((part) => part.draw());
  scope.on("num_tokens chunk_size padding query layer rule", draw);
  scope.onTheme(draw);
  scope.onResize(root, draw);
  draw();
  return () => scope.close();
}

export default { render };
