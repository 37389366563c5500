// The size, and the image cut into tiles; the other views are in tile_candidates.js and tile_tokens.js.

const MOST_PIXELS = 100_000; // a side
const SLIDER_PIXELS = 8192; // a side, at the slider's end
const PRESETS = [
  ["photograph", 3000, 4000],
  ["screenshot", 1080, 1920],
  ["receipt", 2400, 600],
  ["icon", 48, 64],
];

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const canvasText = ({ rows, columns }) => `${plural(rows, "row")} × ${plural(columns, "column")}`;
const byName = ({ rows, columns }) => `${rows} × ${columns}`;
const scaleText = (scale) => (scale >= 0.01 ? scale.toFixed(3) : scale.toPrecision(2));

/** All that follows from the size. `tiles` counts the global one, which is the last. */
function workOut(model) {
  const [height, width, tileSize] = [model.get("height"), model.get("width"), model.get("tile_size")];
  const perSide = tileSize / model.get("patch_size") / model.get("shuffle");
  const judged = judgeCanvases(height, width, tileSize, model.get("max_tiles"));
  const canvas = judged.find(({ why }) => why === "chosen");
  const runs = tokenRuns(canvas, perSide ** 2);
  const count = canvas.rows * canvas.columns;
  const tiles = count > 1 ? count + 1 : 1;
  return {
    height,
    width,
    tileSize,
    perSide,
    judged,
    canvas,
    runs,
    tiles,
    total: countTokens(runs),
    fitted: fitInside(height, width, canvas, tileSize),
    tile: Math.min(model.get("tile"), tiles - 1),
  };
}

const isGlobal = ({ tiles }, tile) => tiles > 1 && tile === tiles - 1;
const tileName = (work, tile) => (isGlobal(work, tile) ? "global tile" : `tile ${tile}`);

/** One slider and one field for a side of the image. The slider's steps are equal ratios. */
function sideControl(scope, trait, label) {
  const pixelsAt = (place) => Math.round(SLIDER_PIXELS ** (place / 1000));
  const set = (pixels) => scope.set({ [trait]: Math.max(1, Math.min(MOST_PIXELS, pixels)) });
  const range = make("input", { type: "range", min: 0, max: 1000, "aria-label": `${label} (slider)` });
  const field = make("input", { type: "number", min: 1, max: MOST_PIXELS, "aria-label": `${label} in pixels` });
  range.addEventListener("input", () => set(pixelsAt(Number(range.value))));
  field.addEventListener(
    "input",
    () => Number.isInteger(Number(field.value)) && field.value > 0 && set(Number(field.value)),
  );
  field.addEventListener("change", () => (field.value = scope.model.get(trait)));
  const update = () => {
    const pixels = scope.model.get(trait);
    // Several places of the slider are one number of pixels where it is small: it must not be pulled back.
    if (pixelsAt(Number(range.value)) !== pixels) range.value = (Math.log(pixels) / Math.log(SLIDER_PIXELS)) * 1000;
    if (Number(field.value) !== pixels) field.value = pixels;
    range.setAttribute("aria-valuetext", plural(pixels, "pixel"));
  };
  scope.on(trait, update);
  update();
  return make("div", { class: "l4x-tile-size" }, make("span", { class: "l4x-name", text: label }), range, field);
}

/** Buttons that set both sides. */
function presets(scope) {
  const [own, tileSize] = [scope.model.get("own_size"), scope.model.get("tile_size")];
  const all = [...PRESETS, ["one tile", tileSize, tileSize]];
  if (own.length) all.unshift(["the picture's own size", ...own]);
  const buttons = all.map(([name, height, width]) =>
    make("button", {
      type: "button",
      class: "l4x-button",
      text: `${name}, ${width} × ${height}`,
      click: () => scope.set({ height, width }),
    }),
  );
  return make("div", { class: "l4x-tile-presets", role: "group", "aria-label": "Sizes to try" }, buttons);
}

/** A test card in the image's proportions, for when there is no picture: its circle shows what is squeezed. */
function testCard(height, width) {
  const scale = 600 / Math.max(height, width);
  const card = document.createElement("canvas");
  [card.width, card.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const brush = card.getContext("2d");
  const sky = brush.createLinearGradient(0, 0, card.width, card.height);
  [COLORS.skyBlue, "#F5E9C9", COLORS.orange].forEach((color, i) => sky.addColorStop(i / 2, color));
  brush.fillStyle = sky;
  brush.fillRect(0, 0, card.width, card.height);
  brush.fillStyle = COLORS.blue;
  brush.beginPath();
  brush.arc(card.width / 2, card.height / 2, 0.32 * Math.min(card.width, card.height), 0, 7);
  brush.fill();
  brush.strokeStyle = "#000000";
  brush.lineWidth = 2;
  brush.strokeRect(1, 1, card.width - 2, card.height - 2);
  return card;
}

/** Paint one tile, as the vision model gets it, into a square of `size`. */
function paintTile(brush, image, work, tile, x, y, size) {
  brush.save();
  brush.beginPath();
  brush.rect(x, y, size, size);
  brush.clip();
  brush.fillStyle = "#000000";
  brush.fillRect(x, y, size, size);
  const ratio = size / work.tileSize;
  if (isGlobal(work, tile)) brush.drawImage(image, x, y, size, size);
  else {
    const [row, column] = [Math.floor(tile / work.canvas.columns), tile % work.canvas.columns];
    brush.drawImage(image, x - column * size, y - row * size, work.fitted.width * ratio, work.fitted.height * ratio);
  }
  brush.restore();
}

/** A tile's button over a drawn tile. */
function tileButton(scope, work, tile, left, top, size) {
  return make(
    "button",
    {
      type: "button",
      role: "radio",
      "aria-checked": tile === work.tile,
      style: `left: ${left}px; top: ${top}px; width: ${size}px; height: ${size}px`,
      click: () => scope.set({ tile }),
      "aria-label": tileName(work, tile),
    },
    make("i", { text: isGlobal(work, tile) ? "global" : tile }),
  );
}

/** What is done to the image before it is cut. */
function placeText({ width, height, fitted, canvas, tileSize }) {
  const { rows, columns } = canvas;
  const isKept = fitted.width === width && fitted.height === height;
  const resized = `Resized from ${width} × ${height} to ${fitted.width} × ${fitted.height}`;
  const padded = `${columns * tileSize - fitted.width} right, ${rows * tileSize - fitted.height} below`;
  return (
    `${isKept ? `Kept at ${width} × ${height}` : resized}, then padded with black: ${padded}. ` +
    `${plural(rows * columns, "tile")} of ${tileSize} × ${tileSize}.`
  );
}

/** The image on its canvas, cut into tiles, and the global tile. */
function canvasView(scope, imageNow) {
  const [canvas, whole] = [make("canvas", { "aria-hidden": "true" }), make("canvas", { "aria-hidden": "true" })];
  const [box, wholeBox] = [
    make("div", { class: "l4x-tile-box" }, canvas),
    make("div", { class: "l4x-tile-box" }, whole),
  ];
  const [under, wholeUnder] = [make("p", { class: "l4x-tile-under" }), make("p", { class: "l4x-tile-under" })];
  const wholePart = make("div", {}, wholeBox, wholeUnder);
  const cut = make(
    "div",
    { class: "l4x-tile-cut", role: "radiogroup", "aria-label": "Tiles" },
    make("div", {}, box, under),
    wholePart,
  );
  const buttons = () => [...cut.querySelectorAll("button")];
  const current = roving(cut, buttons, (tile) => scope.set({ tile }));
  const draw = () => {
    const work = workOut(scope.model);
    const { rows, columns } = work.canvas;
    const side = Math.min(Math.min(620, cut.clientWidth || 320) / columns, 420 / rows, 260);
    const count = rows * columns;
    const brush = brushOf(canvas, side * columns, side * rows);
    for (let tile = 0; tile < count; tile++)
      paintTile(brush, imageNow(), work, tile, (tile % columns) * side, Math.floor(tile / columns) * side, side);
    const focused = buttons().indexOf(cut.getRootNode().activeElement);
    box.classList.toggle("small", side < 40);
    buttons().forEach((button) => button.remove());
    for (let tile = 0; tile < count; tile++) {
      const [left, top] = [(tile % columns) * side, Math.floor(tile / columns) * side];
      box.append(tileButton(scope, work, tile, left, top, side));
    }
    wholePart.hidden = work.tiles === 1;
    if (work.tiles > 1) {
      const size = Math.min(180, cut.clientWidth || 180);
      paintTile(brushOf(whole, size, size), imageNow(), work, count, 0, 0, size);
      wholeBox.append(tileButton(scope, work, count, 0, 0, size));
    }
    current(work.tile);
    if (focused >= 0) buttons()[Math.min(focused, work.tiles - 1)].focus();
    under.textContent = placeText(work);
    const isSquare = work.width === work.height;
    wholeUnder.textContent = `The whole image in one tile${isSquare ? "" : "; its proportions are lost"}.`;
  };
  const note =
    "The image keeps its proportions, in the upper left corner. Tiles are numbered in the model's order. Choose one.";
  return { view: panel("The canvas, cut into tiles", note, cut), draw, cut };
}

/** How the number of tokens comes about. */
function sumOf({ width, height, canvas, tiles, perSide, total, runs }) {
  const others = runs.filter(({ tile }) => tile === null).length;
  const withGlobal = tiles > 1 ? `${canvas.rows * canvas.columns} tiles and the global one` : "1 tile";
  return (
    `${width} × ${height} pixels: a canvas of ${canvasText(canvas)}, ${withGlobal}. ` +
    `${tiles} × ${perSide ** 2} patch tokens + ${others} others = ${plural(total, "token")}.`
  );
}

function render({ model, el }) {
  const scope = new Scope(model);
  const root = scope.root(el);
  const say = liveRegion(root);
  // `alt` stays what it was at first where no kernel runs, so that it would soon be wrong as the name of the whole.
  const name = () => root.setAttribute("aria-label", "Image tiles to explore");
  scope.on("alt", name);
  name();
  let picture = null; // decoded later, if there is one
  const imageNow = () => picture ?? (card ??= testCard(model.get("height"), model.get("width")));
  let card = null;
  const sum = make("p", { class: "l4x-tile-sum" });
  const parts = [
    candidatesView(scope, imageNow, say),
    canvasView(scope, imageNow),
    patchesView(scope, imageNow, say),
    tokensView(scope),
  ];
  root.append(
    make(
      "div",
      { class: "l4x-controls" },
      sideControl(scope, "width", "Width"),
      sideControl(scope, "height", "Height"),
    ),
    presets(scope),
    sum,
    ...parts.map(({ view }) => view),
  );
  const drawAll = () => parts.forEach((part) => part.draw());
  const draw = () => {
    card = null;
    sum.textContent = sumOf(workOut(model));
    say(sum.textContent);
    parts[0].forget();
    drawAll();
  };
  scope.on("width height", draw);
  scope.on("tile", drawAll);
  scope.onResize(root, drawAll);
  draw();
  const bytes = typed(model.get("picture"), Uint8Array);
  if (bytes.length) createImageBitmap(new Blob([bytes])).then((bitmap) => ((picture = bitmap), drawAll()));
  return () => scope.close();
}

export default { render };
