// An explorer saved as one HTML file: the state lies in the page, and a small model stands in for Jupyter's.
const page = document.querySelector("main");
const revive = (name, value) => {
  if (value === null || typeof value !== "object" || typeof value.base64 !== "string") return value;
  const text = atob(value.base64);
  return new DataView(Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer);
};
const state = JSON.parse(page.querySelector("script").textContent, revive);
const listeners = new Map();

render({
  el: page,
  model: {
    get: (name) => state[name],
    set(name, value) {
      if (Object.is(state[name], value)) return;
      state[name] = value;
      for (const react of [...(listeners.get(`change:${name}`) ?? [])]) react();
    },
    save_changes() {},
    on: (event, react) => listeners.set(event, [...(listeners.get(event) ?? []), react]),
    off: (event, react) =>
      listeners.set(
        event,
        (listeners.get(event) ?? []).filter((other) => other !== react),
      ),
  },
});
