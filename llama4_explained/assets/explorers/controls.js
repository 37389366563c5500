// What explorers are touched with: keys, sliders and switches. Joined to `common.js`, which explains the rest.

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/**
 * One stop of the tab key for many buttons: arrows, Home and End move between them.
 *
 * Up and down go to the nearest button above or below, as they lie on the page, so that wrapped lines and grids work.
 * `items()` are the buttons now; `moved(index)` is told. Returns `current(index)`, which says where the stop is.
 */
function roving(container, items, moved) {
  const current = (index) => items().forEach((item, i) => (item.tabIndex = i === index ? 0 : -1));
  container.addEventListener("keydown", (event) => {
    const all = items();
    const here = all.indexOf(event.target);
    if (here < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    let next = null;
    if (event.key === "Home") next = 0;
    else if (event.key === "End") next = all.length - 1;
    else if (event.key in STEPS) {
      const [down, right] = STEPS[event.key];
      next = right ? here + right : neighbour(all, here, down);
    }
    if (next === null) return;
    event.preventDefault();
    if (!all[next]) return;
    current(next);
    all[next].focus();
    moved(next);
  });
  return current;
}

/** The index of the item in the nearest line above (-1) or below (1), as little to the side as can be; else null. */
function neighbour(items, here, down) {
  const boxes = items.map((item) => item.getBoundingClientRect());
  const from = boxes[here];
  const middle = (box) => (box.left + box.right) / 2;
  let best = null;
  boxes.forEach((box, i) => {
    const apart = down * ((box.top + box.bottom) / 2 - (from.top + from.bottom) / 2);
    if (apart <= from.height / 2) return;
    const distance = [Math.round(apart), Math.abs(middle(box) - middle(from))];
    if (!best || distance[0] < best[0] - 2 || (distance[0] <= best[0] + 2 && distance[1] < best[1]))
      best = [...distance, i];
  });
  return best && best[2];
}

/**
 * A drawn grid that answers to the pointer and to the arrow keys.
 *
 * `size()` gives { rows, columns, left, top, width, height }: how many cells, and where they lie on the canvas in CSS
 * pixels. `at()` gives the selected { row, column }; `choose(row, column)` is called by clicks and keys, `over(row,
 * column)` while the pointer hovers, with nulls when it has left.
 */
function gridCursor(canvas, { size, at, choose, over = () => {} }) {
  const cell = (event) => {
    const { rows, columns, left, top, width, height } = size();
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left - left) / width) * columns);
    const row = Math.floor(((event.clientY - box.top - top) / height) * rows);
    return row >= 0 && row < rows && column >= 0 && column < columns ? [row, column] : null;
  };
  canvas.tabIndex = 0;
  canvas.addEventListener("click", (event) => {
    const found = cell(event);
    if (found) choose(...found);
  });
  canvas.addEventListener("pointermove", (event) => over(...(cell(event) ?? [null, null])));
  canvas.addEventListener("pointerleave", () => over(null, null));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { rows, columns } = size();
    let { row, column } = at();
    if (event.key in STEPS) {
      row += STEPS[event.key][0];
      column += STEPS[event.key][1];
    } else if (event.key === "Home") column = 0;
    else if (event.key === "End") column = columns - 1;
    else if (event.key === "PageUp") row = 0;
    else if (event.key === "PageDown") row = rows - 1;
    else return;
    event.preventDefault();
    choose(Math.min(rows - 1, Math.max(0, row)), Math.min(columns - 1, Math.max(0, column)));
  });
}

/**
 * A slider with its name and its value, for a trait that is a whole number.
 *
 * It goes from `min` to `max`, or through `values`, one after the other. `show(value)` is how the value is written;
 * `hint` explains it under the pointer.
 */
function slider(scope, trait, { label, min, max, values, show = String, hint }) {
  const [first, last] = values ? [0, values.length - 1] : [min, max];
  const output = make("span", { class: "l4x-value", "aria-hidden": "true" }); // the slider itself says it
  const input = make("input", {
    type: "range",
    min: first,
    max: last,
    step: 1,
    title: hint,
    "aria-label": label,
    input: () => scope.set({ [trait]: values ? values[input.value] : Number(input.value) }),
  });
  const update = () => {
    const value = scope.model.get(trait);
    input.value = values ? values.indexOf(value) : value;
    output.textContent = show(value);
    input.setAttribute("aria-valuetext", show(value));
  };
  scope.on(trait, update);
  update();
  return make("label", { class: "l4x-control" }, make("span", { class: "l4x-name", text: label }), input, output);
}

/**
 * A few choices side by side, of which one holds: radio buttons that look like one switch.
 *
 * `options` are [value, text] pairs; the trait has one of the values.
 */
function choice(scope, trait, { label, options, hint }) {
  const buttons = options.map(([value, text]) =>
    make("button", { type: "button", role: "radio", text, click: () => scope.set({ [trait]: value }) }),
  );
  const group = make("div", { class: "l4x-choice", role: "radiogroup", "aria-label": label, title: hint }, buttons);
  const current = roving(
    group,
    () => buttons,
    (index) => scope.set({ [trait]: options[index][0] }),
  );
  const update = () => {
    const chosen = options.findIndex(([value]) => value === scope.model.get(trait));
    buttons.forEach((button, i) => button.setAttribute("aria-checked", i === chosen));
    current(Math.max(0, chosen));
  };
  scope.on(trait, update);
  update();
  return make("div", { class: "l4x-control" }, make("span", { class: "l4x-name", text: label }), group);
}

/** A view with its heading; `note` is a sentence under it. */
function panel(title, note, ...children) {
  return make(
    "section",
    { class: "l4x-panel", "aria-label": title },
    make("div", { class: "l4x-title", role: "heading", "aria-level": 3, text: title }),
    note ? make("p", { class: "l4x-note", text: note }) : null,
    children,
  );
}
