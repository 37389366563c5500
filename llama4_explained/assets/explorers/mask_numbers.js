// Whom each token may see, as in masks.py and kv_cache.py. Nothing is drawn here.

export const PADDING = -1;

// Positions of the slots: padding has -1, and the first real token has 0 whatever its slot.
export function positionsOf(numTokens, padding) {
  return Array.from({ length: numTokens }, (_, slot) => (slot < padding ? PADDING : slot - padding));
}

// One pair. `rule` is "chunked", "causal" or "sliding"; a `chunkSize` of null is no limit.
export function mayLook(rule, query, key, chunkSize) {
  if (key === PADDING || key > query) return false;
  if (rule === "causal" || chunkSize === null) return true;
  if (rule === "sliding") return query - key < chunkSize;
  return Math.floor(query / chunkSize) === Math.floor(key / chunkSize);
}

// The whole mask [queries][keys].
export function maskOf(rule, queries, keys, chunkSize) {
  return queries.map((query) => keys.map((key) => mayLook(rule, query, key, chunkSize)));
}

// Which tokens can have influenced each one, after every layer of a stack: `rules` names a layer each.
// A token always carries itself along, by the residual stream.
export function reachOf(rules, positions, chunkSize) {
  let reach = positions.map((_, slot) => positions.map((_, other) => slot === other));
  return rules.map((rule) => {
    const mask = maskOf(rule, positions, positions, chunkSize);
    const before = reach;
    const arrives = (query, source) =>
      before[query][source] || mask[query].some((seen, key) => seen && before[key][source]);
    reach = positions.map((_, query) => positions.map((_, source) => arrives(query, source)));
    return reach;
  });
}

// How many of the last slots a layer's KV cache still holds after the token in `slot`: all of them, or the chunk being
// filled. A chunk that is full is let go, for nobody can see it any more.
export function slotsKept(rule, slot, padding, chunkSize) {
  if (rule === "causal" || chunkSize === null) return slot + 1;
  const seen = Math.max(0, slot + 1 - padding);
  return rule === "sliding" ? Math.min(seen, chunkSize - 1) : seen % chunkSize;
}

// What a NoPE layer multiplies the query at a position by.
export function temperatureAt(position, floorScale, temperatureScale) {
  return 1 + temperatureScale * Math.log1p(Math.floor((position + 1) / floorScale));
}

// Slots as ranges: [2, 3, 4, 7] -> "2 to 4, 7".
export function rangesOf(slots) {
  const ranges = [];
  for (const slot of slots) {
    if (ranges.length && slot === ranges.at(-1)[1] + 1) ranges.at(-1)[1] = slot;
    else ranges.push([slot, slot]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`)).join(", ");
}
