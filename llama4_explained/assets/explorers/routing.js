// Which expert gets which token. R routers, L layers with experts, T tokens, E experts, A experts per token.
// The views follow in `routing_tokens.js`, `routing_picture.js` and `routing_numbers.js`.

/** What the model computed, and which part of it is looked at now. `layer` counts through the L layers here. */
class Routing {
  constructor(model) {
    this.model = model;
    this.tokens = model.get("tokens");
    this.kinds = model.get("kinds");
    this.layers = model.get("layers");
    this.E = model.get("num_experts");
    this.A = model.get("experts_per_token");
    this.strengths = {
      sigmoid: typed(model.get("scores"), Uint8Array),
      softmax: typed(model.get("shares"), Uint8Array),
    };
    this.choices = typed(model.get("chosen"), Uint16Array);
  }
  get token() {
    return this.model.get("token");
  }
  get layer() {
    return this.layers.indexOf(this.model.get("layer"));
  }
  get isSigmoid() {
    return this.model.get("scale") === "sigmoid";
  }

  row(token, layer) {
    const router = this.model.get("routers").indexOf(this.model.get("router"));
    return (router * this.layers.length + layer) * this.tokens.length + token;
  }
  /** How strongly an expert is meant, from 0 to 1. */
  strength(token, expert, layer = this.layer) {
    return this.strengthsOf(token, layer)[expert] / 255;
  }
  /** That of all experts, from 0 to 255. */
  strengthsOf(token, layer = this.layer) {
    const start = this.row(token, layer) * this.E;
    return this.strengths[this.model.get("scale")].subarray(start, start + this.E);
  }
  /** The chosen experts of a token, the strongest first. */
  experts(token, layer = this.layer) {
    const start = this.row(token, layer) * this.A;
    return [...this.choices.subarray(start, start + this.A)];
  }
  /** The expert in whose colour a token is drawn; null if only those of another one stand out. */
  shownOf(token) {
    const [wanted, experts] = [this.model.get("expert"), this.experts(token)];
    if (wanted === null) return experts[0];
    return experts.includes(wanted) ? wanted : null;
  }
  /** How many tokens each expert of a layer gets. */
  loads(layer) {
    const counts = new Array(this.E).fill(0);
    this.tokens.forEach((_, token) => this.experts(token, layer).forEach((expert) => (counts[expert] += 1)));
    return counts;
  }
  name(token) {
    const kind = this.kinds[token];
    const what = {
      image: "image token",
      control: `control token ${visible(this, token)}`,
      text: `text “${this.tokens[token]}”`,
    }[kind];
    return `Token ${token}, ${what}`;
  }
  words(token, layer = this.layer) {
    return this.experts(token, layer)
      .map((e) => `${this.strength(token, e, layer).toFixed(2)} for expert ${e}`)
      .join(", ");
  }
}

/** A token as it is printed: spaces and ends of lines become visible; control tokens lose their brackets. */
function visible(routing, token) {
  const text = routing.tokens[token];
  if (routing.kinds[token] === "image") return "";
  if (routing.kinds[token] === "control") return text.replace(/^<\||\|>$/g, "");
  return text.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "∅";
}

function render({ model, el }) {
  const scope = new Scope(model);
  const root = scope.root(el);
  const say = liveRegion(root);
  const routing = new Routing(model);
  const at = { scope, routing, root, theme: themeOf(root) };

  const views = [tokenStrip(at, say), pictures(at), pathOfToken(at), heatmap(at, say), loads(at)];
  const [strip, picture, path, heat, load] = views.map((view) => view.node);
  root.append(controls(at), strip, make("div", { class: "l4x-columns" }, picture, path), heat, load);

  const draw = () => views.forEach((view) => view.draw()); // when a trait changes, each view sees to itself
  scope.on("layer router scale token", () =>
    say(`${routing.name(routing.token)}. Layer ${model.get("layer")}: ${routing.words(routing.token)}.`),
  );
  scope.onTheme(() => {
    at.theme = themeOf(root);
    draw();
  });
  scope.onResize(root, draw);
  draw();
  return () => scope.close();
}

function controls({ scope, routing }) {
  const routers = scope.model.get("routers");
  const note = make("p", { class: "l4x-note" });
  const update = () => {
    const untrained = scope.model.get("router") === "untrained";
    note.textContent =
      (routing.isSigmoid
        ? "Sigmoid, as in Llama 4: every expert has a score of its own, from 0 to 1; the chosen one's multiplies its input. "
        : "Softmax, which Llama 4 does not use: all experts of a token share 1. The choice is the same. ") +
      (untrained ? "The routers have random weights here; all other weights are the trained ones." : "");
  };
  scope.on("router scale", update);
  update();
  return make(
    "div",
    {},
    make(
      "div",
      { class: "l4x-controls" },
      slider(scope, "layer", { label: "Layer", values: routing.layers, hint: "Only layers that have experts." }),
      routers.length < 2
        ? null
        : choice(scope, "router", { label: "Router", options: routers.map((name) => [name, name]) }),
      choice(scope, "scale", {
        label: "Strength",
        options: [
          ["sigmoid", "sigmoid"],
          ["softmax", "softmax"],
        ],
      }),
    ),
    note,
  );
}

/** The expert's colour, the fuller the stronger, on this page; and black or white for what is written on it. */
function paint(at, expert, strength) {
  const color = mix(rgb(expertColor(expert)), at.theme.surface, 0.1 + 0.9 * strength);
  return { background: css(color), ink: textOn(color) };
}
