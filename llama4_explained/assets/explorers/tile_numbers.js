// How an image becomes tiles and tokens, as in images.py and chat.py. Nothing is drawn here.

// All grids of at most `maxTiles` tiles.
export function candidateCanvases(maxTiles) {
  const canvases = [];
  for (let rows = 1; rows <= maxTiles; rows++) {
    for (let columns = 1; rows * columns <= maxTiles; columns++) canvases.push({ rows, columns });
  }
  return canvases;
}

// Every candidate with its scale, and why it is chosen or not: "chosen", "area" (the same scale, but more tiles),
// "enlarges" (more than another that keeps all detail), "shrinks" (and another need not), "shrinks more".
// Scales are compared as whole numbers, times height * width / tileSize, so that ties are ties.
export function judgeCanvases(height, width, tileSize, maxTiles) {
  const candidates = candidateCanvases(maxTiles).map(({ rows, columns }) => {
    const whole = Math.min(rows * width, columns * height);
    return { rows, columns, whole, scale: Math.min((rows * tileSize) / height, (columns * tileSize) / width) };
  });
  const keepsDetail = ({ whole }) => whole * tileSize >= height * width;
  const kept = candidates.filter(keepsDetail).map(({ whole }) => whole);
  const best = kept.length ? Math.min(...kept) : Math.max(...candidates.map(({ whole }) => whole));
  const equals = candidates.filter(({ whole }) => whole === best);
  const area = Math.min(...equals.map(({ rows, columns }) => rows * columns));
  const chosen = equals.find(({ rows, columns }) => rows * columns === area);
  return candidates.map((candidate) => {
    let why = kept.length ? "shrinks" : "shrinks more";
    if (candidate === chosen) why = "chosen";
    else if (candidate.whole === best) why = "area";
    else if (keepsDetail(candidate)) why = "enlarges";
    return { ...candidate, why };
  });
}

export function chooseCanvas(height, width, tileSize, maxTiles) {
  const { rows, columns } = judgeCanvases(height, width, tileSize, maxTiles).find(({ why }) => why === "chosen");
  return { rows, columns };
}

// The size that the image gets on its canvas: it is enlarged only if it is smaller than one tile.
export function fitInside(height, width, { rows, columns }, tileSize) {
  const heightLimit = Math.min(Math.max(height, tileSize), rows * tileSize);
  const widthLimit = Math.min(Math.max(width, tileSize), columns * tileSize);
  const heightScale = heightLimit / height;
  const widthScale = widthLimit / width;
  if (widthScale < heightScale) return { height: Math.max(1, Math.floor(height * widthScale)), width: widthLimit };
  return { height: heightLimit, width: Math.max(1, Math.floor(width * heightScale)) };
}

// The image's tokens in order, as runs: { name, count, tile }; `tile` is null for all but patch tokens.
export function tokenRuns({ rows, columns }, tokensPerTile) {
  const one = (name) => ({ name, count: 1, tile: null });
  const patches = (tile) => ({ name: "<|patch|>", count: tokensPerTile, tile });
  const runs = [one("<|image_start|>")];
  const tiles = rows * columns > 1 ? rows * columns : 0; // one tile shows the whole image already
  for (let tile = 0; tile < tiles; tile++) {
    const endsRow = (tile + 1) % columns === 0;
    runs.push(patches(tile), one(endsRow ? "<|tile_y_separator|>" : "<|tile_x_separator|>"));
  }
  return [...runs, one("<|image|>"), patches(tiles), one("<|image_end|>")];
}

export function countTokens(runs) {
  return runs.reduce((sum, { count }) => sum + count, 0);
}
