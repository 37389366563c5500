// One tile cut into patches, the image tokens made of them, and all tokens in their order.

/** One tile: its patches, and the image tokens that pixel shuffle makes of them. */
function patchesView(scope, imageNow, say) {
  const label = "Image tokens of the tile. Arrow keys choose one.";
  const [patches, tokens] = [
    make("canvas", { "aria-hidden": "true" }),
    make("canvas", { role: "application", "aria-roledescription": "grid", "aria-label": label }),
  ];
  const [said, patchTitle, tokenTitle] = [
    make("p", { class: "l4x-tile-token" }),
    make("p", { class: "l4x-tile-under" }),
    make("p", { class: "l4x-tile-under" }),
  ];
  const grids = make(
    "div",
    { class: "l4x-tile-grids" },
    make("div", {}, patchTitle, patches),
    make("div", {}, tokenTitle, tokens),
    said,
  );
  let [chosen, hovered, side] = [{ row: 0, column: 0 }, null, 290];
  const draw = () => {
    const work = workOut(scope.model);
    const { perSide, runs, tile } = work;
    const shuffle = scope.model.get("shuffle");
    side = Math.min(290, grids.clientWidth || 290);
    const { row, column } = hovered ?? chosen;
    paintGrid(brushOf(patches, side, side), side, perSide * shuffle, shuffle, (brush) =>
      paintTile(brush, imageNow(), work, tile, 0, 0, side),
    );
    paintGrid(brushOf(tokens, side, side), side, perSide, perSide, (brush) => {
      const small = document.createElement("canvas");
      small.width = small.height = perSide;
      paintTile(small.getContext("2d"), imageNow(), work, tile, 0, 0, perSide);
      brush.imageSmoothingEnabled = false;
      brush.drawImage(small, 0, 0, side, side);
    });
    for (const canvas of [patches, tokens])
      frame(canvas.getContext("2d"), (column * side) / perSide, (row * side) / perSide, side / perSide);
    const own = runs.findIndex((run) => run.tile === tile);
    const index = row * perSide + column;
    const corner = row * shuffle * perSide * shuffle + column * shuffle;
    const merged = Array.from(
      { length: shuffle ** 2 },
      (_, i) => corner + Math.floor(i / shuffle) * perSide * shuffle + (i % shuffle),
    );
    const number = countTokens(runs.slice(0, own)) + index;
    said.textContent =
      `Token ${index} of ${isGlobal(work, tile) ? "the " : ""}${tileName(work, tile)}: patches ${merged.join(", ")}. ` +
      `It is number ${number.toLocaleString("en")} of the image's ${plural(work.total, "token")}.`;
    const patchSize = scope.model.get("patch_size");
    patchTitle.textContent = `${(perSide * shuffle) ** 2} patches of ${patchSize} × ${patchSize} pixels`;
    tokenTitle.textContent = `${shuffle} × ${shuffle} patches make a token: ${perSide} × ${perSide} = ${perSide ** 2}`;
    return said.textContent;
  };
  const cursor = (over, choose) => ({
    size: () => ({
      rows: workOut(scope.model).perSide,
      columns: workOut(scope.model).perSide,
      left: 0,
      top: 0,
      width: side,
      height: side,
    }),
    at: () => chosen,
    choose,
    over,
  });
  const over = (row, column) => ((hovered = row === null ? null : { row, column }), draw());
  const choose = (row, column) => ([chosen, hovered] = [{ row, column }, null]) && say(draw());
  gridCursor(tokens, cursor(over, choose));
  gridCursor(patches, cursor(over, choose));
  patches.tabIndex = -1; // for the pointer; the tokens beside it take the keys
  const note =
    "Numbers count from 0. The colours only stand for the tokens: each is really a wide vector of its patches.";
  return { view: panel("Patches, and the tokens made of them", note, grids), draw };
}

function paintGrid(brush, side, count, strong, paint) {
  paint(brush);
  for (let line = 0; line <= count; line++) {
    const at = (line * side) / count;
    brush.strokeStyle = strong < count && line % strong === 0 ? "rgb(255 255 255 / 90%)" : "rgb(255 255 255 / 45%)";
    brush.beginPath();
    (brush.moveTo(at, 0), brush.lineTo(at, side), brush.moveTo(0, at), brush.lineTo(side, at));
    brush.stroke();
  }
}

function frame(brush, x, y, size) {
  for (const [color, thickness] of [
    ["#000000", 5],
    ["#ffffff", 2],
  ]) {
    brush.strokeStyle = color;
    brush.lineWidth = thickness;
    brush.strokeRect(x, y, size, size);
  }
}

/** The image's tokens in order. Patch tokens of a tile are one button. */
function tokensView(scope) {
  const lines = make("div", { role: "radiogroup", "aria-label": "The image's tokens; choose a tile" });
  const buttons = () => [...lines.querySelectorAll("button")];
  const current = roving(lines, buttons, (tile) => scope.set({ tile }));
  const draw = () => {
    const work = workOut(scope.model);
    const focused = buttons().indexOf(lines.getRootNode().activeElement);
    const rows = [[]];
    for (const { name, count, tile } of work.runs) {
      const chip =
        tile === null
          ? make("span", { text: name })
          : make("button", {
              type: "button",
              role: "radio",
              "aria-checked": tile === work.tile,
              text: `${name} × ${count}, ${tileName(work, tile)}`,
              click: () => scope.set({ tile }),
            });
      if (name === "<|image|>" && work.tiles > 1) rows.push([]);
      rows.at(-1).push(chip);
      if (name === "<|tile_y_separator|>" && tile === null && rows.length < work.canvas.rows) rows.push([]);
    }
    lines.replaceChildren(...rows.map((row) => make("div", { class: "l4x-tile-line" }, row)));
    current(work.tile);
    if (focused >= 0) buttons()[Math.min(focused, work.tiles - 1)].focus();
  };
  return {
    view: panel(
      "What the language model reads",
      "A line for each row of tiles. Embeddings of the patch tokens are replaced by the image's.",
      lines,
    ),
    draw,
  };
}
