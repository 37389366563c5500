// The explorer of routing: its views of scores and of loads.

/** Tokens from left to right, experts from top to bottom; the darker against the page, the stronger. */
function heatmap(at, say) {
  const { scope, routing } = at;
  const T = routing.tokens.length;
  const canvas = make("canvas", {
    role: "application",
    "aria-roledescription": "grid of scores",
    "aria-label": "Scores: left and right choose a token, up and down an expert",
  });
  const axis = make("canvas", { role: "presentation" });
  const box = make("div", { class: "l4x-scroll" }, canvas);
  const readout = make("p", { class: "l4x-readout" });
  const rowHeight = routing.E <= 16 ? 18 : routing.E <= 32 ? 12 : 5;
  const height = routing.E * rowHeight;
  const labels = 28; // below the grid, in pixels
  let cell = 8;
  let expert = 0;
  let shownFor = null;

  const draw = () => {
    const now = `${routing.token} ${routing.layer} ${scope.model.get("router")}`;
    if (now !== shownFor) expert = routing.experts(routing.token)[0];
    shownFor = now;
    cell = Math.max(T > 600 ? 4 : 7, Math.min(24, Math.floor((at.root.clientWidth - 80) / T)));
    drawGrid(brushOf(canvas, T * cell, height + labels));
    drawAxis(brushOf(axis, 44, height + labels));
    read(routing.token, expert);
    const left = routing.token * cell;
    if (left < box.scrollLeft) box.scrollLeft = left - 2 * cell;
    if (left + cell > box.scrollLeft + box.clientWidth) box.scrollLeft = left + 3 * cell - box.clientWidth;
  };

  const drawGrid = (brush) => {
    const { surface, text } = at.theme;
    const small = Object.assign(document.createElement("canvas"), { width: T, height: routing.E });
    const pixels = new ImageData(T, routing.E);
    const shades = Array.from({ length: 256 }, (_, strength) => [
      ...mix(text, surface, 0.04 + (0.7 * strength) / 255),
      255,
    ]);
    for (let token = 0; token < T; token++)
      routing.strengthsOf(token).forEach((strength, e) => pixels.data.set(shades[strength], 4 * (e * T + token)));
    small.getContext("2d").putImageData(pixels, 0, 0);
    brush.imageSmoothingEnabled = false;
    brush.drawImage(small, 0, 0, T * cell, height);
    for (let token = 0; token < T; token++)
      for (const e of routing.experts(token)) {
        const inset = rowHeight > 10 ? [1, 4] : [0, 0];
        brush.fillStyle = css(surface);
        brush.fillRect(
          token * cell + inset[0],
          e * rowHeight + inset[1],
          cell - 2 * inset[0],
          rowHeight - 2 * inset[1],
        );
        brush.fillStyle = expertColor(e);
        brush.fillRect(
          token * cell + inset[0] + 1,
          e * rowHeight + inset[1] + 1,
          cell - 2 * inset[0] - 2,
          rowHeight - 2 * inset[1] - 2,
        );
      }
    drawTokens(brush);
    brush.strokeStyle = css(text);
    brush.lineWidth = 1.5;
    brush.strokeRect(routing.token * cell - 0.5, 0.75, cell + 1, height - 1.5);
    frame(brush, routing.token * cell - 3, expert * rowHeight - 3, cell + 6, rowHeight + 6);
  };

  /** Numbers of tokens, and lines under those of the picture. */
  const drawTokens = (brush) => {
    brush.fillStyle = css(at.theme.text);
    brush.font = "11px system-ui, sans-serif";
    const step = [1, 2, 5, 10, 20, 50, 100, 200].find((count) => count * cell >= 36);
    for (let token = 0; token < T; token += step) brush.fillText(token, token * cell, height + 26);
    routing.kinds.forEach((kind, token) => {
      if (kind === "image") brush.fillRect(token * cell, height + 6, cell, 4);
    });
  };

  const drawAxis = (brush) => {
    brush.fillStyle = css(at.theme.text);
    brush.font = "11px system-ui, sans-serif";
    brush.textAlign = "right";
    brush.textBaseline = "middle";
    const step = routing.E <= 16 ? 1 : routing.E <= 32 ? 4 : 16;
    for (let e = 0; e < routing.E; e += step) brush.fillText(e, 36, Math.max(6, (e + 0.5) * rowHeight));
    if (routing.kinds.includes("image")) brush.fillText("image", 38, height + 9);
    brush.fillText("token", 38, height + 22);
  };

  const read = (token, e) => {
    const isChosen = routing.experts(token).includes(e);
    const kind = routing.isSigmoid ? "score" : "share";
    readout.textContent = `${routing.name(token)}, expert ${e}: ${kind} ${routing.strength(token, e).toFixed(2)}${isChosen ? ", chosen" : ", not chosen"}.`;
  };

  gridCursor(canvas, {
    size: () => ({ rows: routing.E, columns: T, left: 0, top: 0, width: T * cell, height }),
    at: () => ({ row: expert, column: routing.token }),
    choose(row, column) {
      if (column !== routing.token) scope.set({ token: column });
      expert = row;
      draw();
      say(readout.textContent);
    },
    over: (row, column) => (row === null ? read(routing.token, expert) : read(column, row)),
  });
  scope.on("layer router scale token", draw);
  const note =
    "Of every token for every expert. The stronger, the further from the page's colour; coloured boxes are chosen.";
  return { node: panel("Scores in this layer", note, make("div", { class: "l4x-heat" }, axis, box), readout), draw };
}

/** How many tokens each expert gets in every layer, and how even that is. */
function loads(at) {
  const { scope, routing } = at;
  const withNumbers = routing.E <= 16;
  const bar = 24;
  const height = bar + (withNumbers ? 16 : 4);
  const rows = routing.layers.map((number) => {
    const button = make("button", {
      type: "button",
      text: number,
      "aria-label": `Show layer ${number}`,
      click: () => scope.set({ layer: number }),
    });
    const svg = makeSvg("svg", { height, role: "img" });
    const cells = [0, 1, 2].map(() => make("td"));
    const row = make("tr", {}, make("th", { scope: "row" }, button), make("td", {}, svg), cells);
    return { button, svg, cells, row };
  });
  const body = make(
    "tbody",
    {},
    rows.map(({ row }) => row),
  );
  const most = Math.log2(routing.E).toFixed(2);
  const titles = [
    "layer",
    `tokens of expert 0 to ${routing.E - 1}`,
    "max / mean",
    `entropy, of ${most} bits`,
    "unused",
  ];
  const table = make(
    "table",
    { class: "l4x-loads" },
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        titles.map((text) => make("th", { scope: "col", text })),
      ),
    ),
    body,
  );
  const current = roving(
    body,
    () => rows.map(({ button }) => button),
    () => {},
  );

  const draw = () => {
    const all = routing.layers.map((_, layer) => routing.loads(layer));
    const highest = Math.max(...all.flat());
    const cell = !withNumbers ? 6 : at.root.clientWidth < 480 ? 22 : 34;
    const even = (routing.tokens.length * routing.A) / routing.E;
    rows.forEach(({ svg, cells }, layer) => {
      const counts = all[layer];
      const bars = counts.map((count, expert) =>
        makeSvg("rect", {
          x: expert * cell + 1,
          y: bar - (bar * count) / highest,
          width: cell - 2,
          height: (bar * count) / highest,
          fill: expertColor(expert),
          stroke: "currentColor",
          "stroke-width": count ? 0.5 : 0,
        }),
      );
      const numbers = withNumbers
        ? counts.map((count, expert) =>
            makeSvg("text", { x: (expert + 0.5) * cell, y: height - 3, "text-anchor": "middle", text: count }),
          )
        : [];
      const level = bar - (bar * even) / highest;
      const mean = makeSvg("line", {
        x1: 0,
        x2: routing.E * cell,
        y1: level,
        y2: level,
        stroke: "currentColor",
        "stroke-dasharray": "2 3",
      });
      svg.replaceChildren(...bars, mean, ...numbers);
      setAll(svg, { width: routing.E * cell, "aria-label": `Tokens of each expert: ${counts.join(", ")}` });
      const { ratio, entropy, unused } = balance(counts);
      [ratio.toFixed(2), entropy.toFixed(2), unused].forEach((text, i) => (cells[i].textContent = text));
    });
    mark();
  };
  const mark = () => {
    rows.forEach(({ row, button }, layer) => {
      row.setAttribute("aria-current", layer === routing.layer);
      button.setAttribute("aria-pressed", layer === routing.layer);
    });
    current(routing.layer);
  };
  scope.on("router", draw);
  scope.on("layer", mark);
  const note =
    "Dashed: an even load, at which max / mean is 1 and the entropy highest. So it is for these tokens; others may load experts otherwise.";
  return {
    node: panel("Load of the experts, layer by layer", note, make("div", { class: "l4x-scroll l4x-loadbox" }, table)),
    draw,
  };
}

/** How even a load is: the largest over the mean, the entropy in bits, and the number of experts without any token. */
function balance(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const entropy = counts.filter(Boolean).reduce((sum, count) => sum - (count / total) * Math.log2(count / total), 0);
  return {
    ratio: (Math.max(...counts) * counts.length) / total,
    entropy,
    unused: counts.filter((count) => !count).length,
  };
}

export default { render };
