// How cells, masks and the curve are painted.

function colorsOf(root) {
  const { surface, text } = themeOf(root);
  const isDark = textOn(surface) === "#fff";
  const blue = rgb(isDark ? COLORS.skyBlue : COLORS.blue);
  return {
    seen: css(mix(blue, surface, 0.55)),
    row: css(blue),
    column: css(rgb(isDark ? COLORS.orange : COLORS.vermilion)),
    text: css(text),
    muted: css(mix(text, surface, 0.76)),
    line: css(mix(text, surface, 0.22)),
    surface: css(surface),
  };
}

/** One cell of a kind of LEGEND, or nothing for null. Form tells the kinds apart as well as colour does. */
function paintCell(brush, colors, kind, x, y, size) {
  if (kind === null) return;
  const gap = size > 6 ? 0.75 : 0.25;
  brush.fillStyle = brush.strokeStyle = colors[kind] ?? colors.muted;
  if (kind === "past") {
    const dot = Math.max(1, size * 0.16);
    brush.fillRect(x + (size - dot) / 2, y + (size - dot) / 2, dot, dot);
  } else if (kind === "padding") {
    brush.lineWidth = Math.max(0.75, size * 0.07);
    brush.beginPath();
    brush.moveTo(x + size * 0.25, y + size * 0.75);
    brush.lineTo(x + size * 0.75, y + size * 0.25);
    brush.stroke();
  } else brush.fillRect(x + gap, y + gap, size - 2 * gap, size - 2 * gap);
  if (kind === "column" && size > 5) {
    brush.fillStyle = colors.surface;
    brush.fillRect(x + size * 0.36, y + size * 0.36, size * 0.28, size * 0.28);
  }
}

const decorative = () => make("canvas", { "aria-hidden": "true" });

function paintMask(canvas, colors, { positions, slots, chunk, rule, query, column }, { left, top, width }) {
  const cell = width / slots.length;
  const brush = brushOf(canvas, left + width + 2, top + width + 2);
  brush.strokeStyle = colors.line;
  brush.strokeRect(left, top, width, width);
  for (const row of slots) {
    for (const key of slots.slice(0, row + 1)) {
      let kind = "past";
      if (mayLook(rule, positions[row], positions[key], chunk))
        kind = row === query ? "row" : key === query ? "column" : "seen";
      else if (positions[key] === PADDING) kind = "padding";
      paintCell(brush, colors, kind, left + key * cell, top + row * cell, cell);
    }
  }
  const every = [1, 2, 4, 8, 16].find((step) => step * cell >= 20) ?? 16;
  for (const slot of slots) {
    const [isChosen, middle] = [slot === query, (slot + 0.5) * cell];
    brush.fillStyle = colors.muted;
    if (rule === "chunked" && chunk !== null && positions[slot] > 0 && positions[slot] % chunk === 0) {
      brush.fillRect(left + slot * cell - 0.75, top - 7, 1.5, 7);
      brush.fillRect(left - 7, top + slot * cell - 0.75, 7, 1.5);
    }
    if (!isChosen && (slot % every || Math.abs(slot - query) * cell < 18)) continue;
    if (isChosen) brush.fillStyle = colors.text;
    brush.font = `${isChosen ? 700 : 400} 11px system-ui, sans-serif`;
    brush.textAlign = "center";
    brush.fillText(slot, left + middle, top - 9);
    brush.textAlign = "right";
    brush.fillText(slot, left - 9, top + middle + 4);
  }
  brush.strokeStyle = colors.text;
  brush.lineWidth = 1.5;
  brush.strokeRect(left, top + query * cell, width, cell);
  brush.setLineDash([3, 3]);
  brush.strokeRect(left + query * cell, top, cell, width);
  brush.setLineDash([]);
  brush.lineWidth = 3;
  brush.strokeRect(left + column * cell, top + query * cell, cell, cell);
}

/** A line of cells, stretched if they are many; the one of the chosen token has a frame. */
function paintStrip(canvas, colors, kinds, chosen, width) {
  const size = Math.min(20, (width - 2) / kinds.length);
  const stretch = Math.max(1, 12 / size);
  const brush = brushOf(canvas, size * kinds.length + 2, (size + 4) * stretch);
  brush.scale(1, stretch);
  brush.strokeStyle = colors.line;
  brush.strokeRect(1, 2, size * kinds.length, size);
  kinds.forEach((kind, slot) => paintCell(brush, colors, kind, 1 + slot * size, 2, size));
  brush.strokeStyle = colors.text;
  brush.lineWidth = 2;
  brush.strokeRect(1 + chosen * size, 2, size, size);
}

function paintCurve(canvas, colors, { factor, share, most, position }, width) {
  const [left, right, top, bottom, height] = [34, 12, 14, 24, 190];
  const highest = Math.max(1.1, factor(most - 1));
  const brush = brushOf(canvas, width, height);
  const x = (at) => left + share(at) * (width - left - right);
  const y = (value) => height - bottom - ((value - 1) / (highest - 1)) * (height - top - bottom);
  brush.font = "11px system-ui, sans-serif";
  const line = (color, thickness, ...points) => {
    brush.strokeStyle = color;
    brush.lineWidth = thickness;
    brush.beginPath();
    points.forEach(([px, py]) => brush.lineTo(px, py));
    brush.stroke();
  };
  brush.fillStyle = colors.muted;
  brush.textAlign = "right";
  for (let value = 1; value <= highest; value += highest > 1.25 ? 0.2 : 0.05) {
    line(colors.line, 1, [left, y(value)], [width - right, y(value)]);
    brush.fillText(value.toFixed(highest > 1.25 ? 1 : 2), left - 6, y(value) + 4);
  }
  brush.textAlign = "center";
  for (let at = 10; at <= most; at *= 10) {
    const name = at >= 1e6 ? `${at / 1e6}M` : at >= 1000 ? `${at / 1000}k` : `${at}`;
    brush.fillText(name, x(at - 1), height - 6);
  }
  const points = [];
  for (let px = left; px <= width - right; px += 0.5) {
    const at = Math.floor(most ** ((px - left) / (width - left - right))) - 1;
    points.push([px, y(factor(Math.min(most - 1, at)))]);
  }
  line(colors.row, 2, ...points);
  line(colors.text, 1, [x(position), top], [x(position), height - bottom]);
  brush.fillStyle = colors.text;
  brush.beginPath();
  brush.arc(x(position), y(factor(position)), 4.5, 0, 7);
  brush.fill();
}
