// All canvases that an image could get, and why it gets the one it gets.

const MARKS = {
  chosen: ["✓", "chosen"],
  area: ["=", "same scale, more tiles"],
  enlarges: ["+", "enlarges more"],
  shrinks: ["−", "loses detail"],
  "shrinks more": ["−", "loses more detail"],
};

/** Why a candidate is chosen or not, in a sentence. */
function sentenceOn(candidate, { canvas, judged }) {
  const keeps = judged.some(({ why }) => why === "shrinks") || canvas.scale >= 1 - 1e-12;
  const count = ({ rows, columns }) => rows * columns;
  const percent = ({ scale }) => `${(100 * scale).toPrecision(3)} %`;
  return {
    chosen: keeps
      ? "Chosen: of the canvases that keep all detail it needs the least enlargement, and the fewest tiles."
      : "Chosen: no canvas keeps all detail. This one keeps most, on the fewest tiles.",
    area: `The scale of the chosen one, but on ${count(candidate)} tiles instead of ${count(canvas)}.`,
    enlarges: `Keeps all detail too, but has room for it at ${scaleText(candidate.scale)}: more stays empty.`,
    shrinks: `Loses detail: the image must shrink to ${percent(candidate)}, and on other canvases it need not.`,
    "shrinks more": `Loses more detail: it shrinks to ${percent(candidate)}, on the chosen one to ${percent(canvas)}.`,
  }[candidate.why];
}

/** All candidates: rows downwards, columns to the right. One can be looked at. */
function candidatesView(scope, imageNow, say) {
  const all = candidateCanvases(scope.model.get("max_tiles"));
  const most = scope.model.get("max_tiles");
  let looked = null; // index of the candidate looked at, null: the chosen one
  const look = (index) => {
    looked = index;
    draw();
    say(said.firstChild.textContent + said.children[1].textContent);
  };
  const buttons = all.map(({ rows, columns }, index) =>
    make("button", {
      type: "button",
      role: "radio",
      style: `grid-area: ${rows + 1} / ${columns + 1}`,
      click: () => look(index),
    }),
  );
  const heads = Array.from({ length: most }, (_, i) => i + 1).flatMap((number) => [
    make("span", { "aria-hidden": "true", style: `grid-area: 1 / ${number + 1}`, text: number }),
    make("span", { "aria-hidden": "true", style: `grid-area: ${number + 1} / 1`, text: number }),
  ]);
  const map = make(
    "div",
    {
      class: "l4x-tile-map",
      role: "radiogroup",
      "aria-label": "Candidate canvases, rows × columns",
      style: `grid-template-columns: repeat(${most + 1}, minmax(0, 1fr))`,
    },
    heads,
    buttons,
  );
  // Where many candidates leave a corner free, the one looked at is drawn there.
  const corner = `${Math.floor(most / 3) + 2} / 5 / ${most + 2} / ${most + 2}`;
  const preview = make("canvas", { "aria-hidden": "true" });
  if (most >= 8) map.append(make("div", { class: "l4x-tile-preview", style: `grid-area: ${corner}` }, preview));
  const current = roving(map, () => buttons, look);
  const said = make("div", { class: "l4x-tile-said" });
  const legend = Object.entries(MARKS)
    .filter(([why]) => why !== "shrinks more")
    .map(([, [mark, text]]) => make("span", { text: `${mark} ${text}` }));
  const rows = make("tbody");
  const table = make(
    "details",
    {},
    make("summary", { text: `All ${all.length} candidates as a table` }),
    make(
      "div",
      { class: "l4x-scroll", tabindex: 0, role: "region", "aria-label": "Table of candidates" },
      make(
        "table",
        {},
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            ["canvas", "pixels", "scale", ""].map((text) => make("th", { scope: "col", text })),
          ),
        ),
        rows,
      ),
    ),
  );
  const words = make("div", { class: "l4x-tile-said" }, said, make("div", { class: "l4x-tile-legend" }, legend), table);
  const draw = () => {
    const work = workOut(scope.model);
    const { judged, tileSize, height, width } = work;
    const shown = looked ?? judged.indexOf(work.canvas);
    judged.forEach((candidate, i) => {
      const [mark, text] = MARKS[candidate.why];
      setAll(buttons[i], {
        text: mark,
        "data-why": candidate.why,
        "aria-checked": i === shown,
        title: `${byName(candidate)}: ${text}`,
        "aria-label": `${canvasText(candidate)}: ${text}`,
      });
    });
    current(shown);
    const one = judged[shown];
    const [tall, broad] = [one.rows * tileSize, one.columns * tileSize];
    said.replaceChildren(
      make("strong", {
        text: `${canvasText(one)}: ${broad} × ${tall} pixels. `,
      }),
      make("span", {
        text: `Scale min(${broad} / ${width}, ${tall} / ${height}) = ${scaleText(one.scale)}. ${sentenceOn(one, work)}`,
      }),
    );
    paintCandidate(preview, imageNow(), one, work, map.clientWidth * 0.72, map.clientWidth * 0.54);
    const ranked = [...judged].sort(
      (a, b) =>
        Math.abs(Math.log(a.scale / work.canvas.scale)) - Math.abs(Math.log(b.scale / work.canvas.scale)) ||
        a.rows * a.columns - b.rows * b.columns,
    );
    rows.replaceChildren(
      ...ranked.map((each) =>
        make(
          "tr",
          {},
          [
            byName(each),
            `${each.columns * tileSize} × ${each.rows * tileSize}`,
            scaleText(each.scale),
            MARKS[each.why][1],
          ].map((text) => make("td", { text })),
        ),
      ),
    );
  };
  const forget = () => (looked = null);
  const note = `Every grid of at most ${most} tiles: rows downwards, columns to the right. Choose one to see its effect.`;
  return { view: panel("Which canvas?", note, make("div", { class: "l4x-tile-two" }, map, words)), draw, forget };
}

/** The image as it would lie on a candidate, within `width` and `height`. */
function paintCandidate(
  canvas,
  image,
  { rows, columns },
  { height: imageHeight, width: imageWidth, tileSize },
  width,
  height,
) {
  const side = Math.min((width - 2) / columns, (height - 2) / rows, 110);
  const fitted = fitInside(imageHeight, imageWidth, { rows, columns }, tileSize);
  const brush = brushOf(canvas, side * columns, side * rows);
  brush.fillStyle = "#000000";
  brush.fillRect(0, 0, side * columns, side * rows);
  brush.drawImage(image, 0, 0, (fitted.width * side) / tileSize, (fitted.height * side) / tileSize);
  brush.strokeStyle = "#ffffff";
  for (let tile = 0; tile < rows * columns; tile++)
    brush.strokeRect((tile % columns) * side, Math.floor(tile / columns) * side, side, side);
}
