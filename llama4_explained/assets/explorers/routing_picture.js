// The explorer of routing: its view of the pictures.

/** The pictures as the vision tower gets them, under the experts of their tokens. */
function pictures(at) {
  const { scope, routing } = at;
  const side = scope.model.get("tile_side");
  const views = scope.model.get("surfaces").map((surface, number) => {
    const [rows, columns] = [surface.rows * side, surface.columns * side];
    const tokenAt = (row, column) =>
      surface.first_tokens[Math.floor(row / side) * surface.columns + Math.floor(column / side)] +
      (row % side) * side +
      (column % side);
    const image = new Image();
    const address = URL.createObjectURL(
      new Blob([typed(scope.model.get("pictures")[number], Uint8Array)], { type: "image/png" }),
    );
    scope.endings.push(() => URL.revokeObjectURL(address));
    const canvas = make("canvas", {
      role: "application",
      "aria-roledescription": "grid of image tokens",
      "aria-label": `${surface.name}: arrow keys choose an image token`,
    });
    const node = make(
      "figure",
      {},
      make("figcaption", { text: surface.name[0].toUpperCase() + surface.name.slice(1) }),
      canvas,
    );
    let cell = 24;
    let cursor = { row: 0, column: 0 };
    const draw = () => {
      const room = Math.min(rows > side || columns > side ? 320 : 160, at.root.clientWidth - 40);
      cell = Math.max(8, Math.min(48, Math.floor(room / Math.max(rows, columns))));
      const brush = brushOf(canvas, columns * cell, rows * cell);
      if (image.complete && image.naturalWidth) brush.drawImage(image, 0, 0, columns * cell, rows * cell);
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          drawCell(brush, tokenAt(row, column), column * cell, row * cell);
      brush.fillStyle = "#fff";
      for (let row = 1; row < surface.rows; row++) brush.fillRect(0, row * side * cell - 1.5, columns * cell, 3);
      for (let column = 1; column < surface.columns; column++)
        brush.fillRect(column * side * cell - 1.5, 0, 3, rows * cell);
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          if (tokenAt(row, column) === routing.token) {
            cursor = { row, column };
            frame(brush, column * cell, row * cell, cell, cell);
          }
    };
    const drawCell = (brush, token, x, y) => {
      const expert = routing.shownOf(token);
      if (expert === null) return;
      const color = rgb(expertColor(expert));
      brush.globalAlpha = 0.1 + 0.45 * routing.strength(token, expert);
      brush.fillStyle = css(color);
      brush.fillRect(x, y, cell, cell);
      brush.globalAlpha = 1;
      if (cell < 14) return;
      brush.font = `600 ${cell >= 24 ? 12 : 9}px system-ui, sans-serif`;
      const width = brush.measureText(expert).width + 6;
      const height = cell >= 24 ? 16 : 11;
      brush.fillRect(x + (cell - width) / 2, y + (cell - height) / 2, width, height);
      brush.fillStyle = textOn(color);
      brush.textAlign = "center";
      brush.textBaseline = "middle";
      brush.fillText(expert, x + cell / 2, y + cell / 2 + 0.5);
    };
    scope.on("layer router scale token expert", draw);
    image.onload = draw;
    image.src = address;
    gridCursor(canvas, {
      size: () => ({ rows, columns, left: 0, top: 0, width: columns * cell, height: rows * cell }),
      at: () => cursor,
      choose: (row, column) => scope.set({ token: tokenAt(row, column) }),
    });
    return { node, draw };
  });
  const node = views.length
    ? panel(
        "Image tokens on the picture",
        "As the vision tower sees it, tile by tile; every cell is one token.",
        make(
          "div",
          { class: "l4x-pictures" },
          views.map((view) => view.node),
        ),
      )
    : null;
  return { node, draw: () => views.forEach((view) => view.draw()) };
}

/** A frame that is seen on light and on dark. */
function frame(brush, x, y, width, height) {
  for (const [color, line] of [
    ["#fff", 5],
    ["#000", 2.5],
  ]) {
    brush.strokeStyle = color;
    brush.lineWidth = line;
    brush.strokeRect(x + 1.5, y + 1.5, width - 3, height - 3);
  }
}
