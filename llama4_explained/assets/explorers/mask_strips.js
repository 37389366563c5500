// The KV cache and the influence of layers as lines of cells, and the temperature.

/** A column of strips under a title; `paint(index, kinds, words)` draws one and names it. */
function strips(scope, root, title, count) {
  const rows = Array.from({ length: count }, () => ({ words: make("p"), canvas: decorative() }));
  const box = make(
    "div",
    {},
    make("b", { text: title }),
    rows.flatMap(({ words, canvas }) => [words, canvas]),
  );
  const paint = (index, kinds, words) => {
    rows[index].words.textContent = words;
    paintStrip(rows[index].canvas, colorsOf(root), kinds, settingsOf(scope.model).chosen, box.clientWidth || 320);
  };
  return { box, paint };
}

/** What the KV cache holds while the chosen token is computed as the only new one. */
function cacheView(scope, root) {
  const columns = {
    chunked: strips(scope, root, "Chunked layer (RoPE)", 1),
    causal: strips(scope, root, "Layer that sees everything (NoPE)", 1),
  };
  const draw = () => {
    const { positions, slots, padding, chunk, chosen } = settingsOf(scope.model);
    for (const [rule, { paint }] of Object.entries(columns)) {
      const held = chosen ? slotsKept(rule, chosen - 1, padding, chunk) : 0;
      const seen = slots.map((slot) => mayLook(rule, positions[chosen], positions[slot], chunk));
      const kinds = slots.map((slot) => {
        if (slot > chosen) return null;
        if (seen[slot]) return "row";
        return slot < chosen - held ? "past" : "padding";
      });
      const sees = seen.filter(Boolean).length;
      const after = slotsKept(rule, chosen, padding, chunk);
      paint(
        0,
        kinds,
        `Holds ${held} of ${chosen} earlier slots. Token ${chosen} sees ${sees}. Then it holds ${after}.`,
      );
    }
  };
  const boxes = Object.values(columns).map(({ box }) => box);
  const note =
    "The chosen token is written: one new query, and the keys that are left. A chunk that is full is let go (dots).";
  return { view: panel("Decoding with the KV cache", note, make("div", { class: "l4x-mask-pair" }, boxes)), draw };
}

/** Which tokens can have influenced the chosen one, layer after layer. */
function influenceView(scope, root) {
  const layers = scope.model
    .get("rope_layers")
    .slice(0, STACK)
    .map((_, layer) => layer);
  const columns = {
    chunked: strips(scope, root, "Llama 4: chunks", layers.length),
    sliding: strips(scope, root, "With sliding windows instead", layers.length),
  };
  const draw = () => {
    const { numTokens, positions, chunk, chosen } = settingsOf(scope.model);
    for (const [local, { paint }] of Object.entries(columns)) {
      const rules = layers
        .map((layer) => ruleOfLayer(scope.model, layer))
        .map((rule) => (rule === "chunked" ? local : rule));
      reachOf(rules, positions, chunk).forEach((reach, layer) => {
        const missing = (slot) => (slot > chosen ? null : positions[slot] === PADDING ? "padding" : "past");
        const kinds = reach[chosen].map((has, slot) => (has ? "row" : missing(slot)));
        const count = kinds.filter((kind) => kind === "row").length;
        paint(
          layer,
          kinds,
          `After layer ${layer}, ${RULES[rules[layer]].name.toLowerCase()}: ${count} of ${numTokens}`,
        );
      });
    }
  };
  const boxes = Object.values(columns).map(({ box }) => box);
  const note =
    "All tokens that can have changed the chosen one. Depth does not widen a chunk; a NoPE layer opens it at once.";
  return {
    view: panel("Influence through a stack of layers", note, make("div", { class: "l4x-mask-pair" }, boxes)),
    draw,
  };
}

/** The factor on the queries of NoPE layers, by position, on a logarithmic axis. */
function temperatureView(scope, root) {
  const {
    floor_scale: floorScale,
    temperature_scale: scale,
    max_positions: most,
    temperature_tuning: isOn,
  } = scope.model.get("model");
  const factor = (position) => (isOn ? temperatureAt(position, floorScale, scale) : 1);
  const share = (position) => Math.log(position + 1) / Math.log(most); // 0 to 1 along the axis
  const output = make("span", { class: "l4x-value", "aria-hidden": "true" }); // the slider itself says it
  const input = make("input", {
    type: "range",
    min: 0,
    max: 1000,
    step: 1,
    "aria-label": "Position",
    input: () => scope.set({ position: Math.max(0, Math.round(most ** (input.value / 1000)) - 1) }),
  });
  const canvas = decorative();
  const box = make("div", {}, canvas);
  const draw = () => {
    const position = Math.min(scope.model.get("position"), most - 1);
    const words = `${position.toLocaleString("en")}: queries times ${factor(position).toFixed(3)}`;
    input.value = Math.round(share(position) * 1000);
    output.textContent = words;
    input.setAttribute("aria-valuetext", words);
    paintCurve(canvas, colorsOf(root), { factor, share, most, position }, Math.min(640, box.clientWidth || 320));
  };
  scope.on("position", draw);
  const control = make(
    "label",
    { class: "l4x-control" },
    make("span", { class: "l4x-name", text: "Position" }),
    input,
    output,
  );
  const stepText = floorScale.toLocaleString("en");
  const note = isOn
    ? `1 + ${scale} · log(1 + ⌊(position + 1) / ${stepText}⌋): one step every ${stepText} tokens.`
    : "This model's configuration switches it off: the factor is 1 everywhere.";
  return { view: panel("Temperature of the NoPE layers", note, control, box), draw };
}
