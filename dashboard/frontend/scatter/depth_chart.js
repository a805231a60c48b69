// A line chart of two numbers over the layers of a model, with the slider above it as its axis. Read
// together with scatter.js, which moves its marker.

const SVG = "http://www.w3.org/2000/svg";

const shape = (name, attributes, parent, text) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
};

// The slider above begins at LEFT, after the numbers of the axis; the center of its thumb stays half a thumb (8 px) away
// from its ends.
const LEFT = 30;
const EDGE = 8;
const TOP = 12;
const FOOT = 20;
const LINES = [
  { of: "trustworthiness", className: "trustworthiness", draw: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z" },
  { of: "silhouette", className: "silhouette", draw: "M-3.8 -3.8h7.6v7.6h-7.6z" },
];

class DepthChart {
  constructor(svg, choose) {
    this.svg = svg;
    this.choose = choose;
    this.layers = [];
  }

  x(place) {
    const last = Math.max(1, this.layers.length - 1);
    return LEFT + EDGE + (place / last) * (this.width - LEFT - 2 * EDGE);
  }

  y(value) {
    return TOP + ((this.high - value) / (this.high - this.low)) * (this.height - TOP - FOOT);
  }

  draw(layers, description, position) {
    this.layers = layers;
    const values = layers.flatMap((layer) => LINES.map((line) => layer[line.of])).filter((v) => v !== null);
    // Of layers that nobody could judge the axis alone is left.
    const judged = values.length > 0;
    this.svg.closest(".below").classList.toggle("unjudged", !judged);
    this.width = Math.max(120, this.svg.clientWidth);
    this.height = this.svg.clientHeight || 120;
    this.high = 1;
    this.low = Math.min(0, ...values.map((value) => Math.floor(value * 4) / 4));
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("aria-label", description);
    this.svg.replaceChildren();
    for (const value of [1, 0.5, 0, -0.5, -1].filter((tick) => judged && tick >= this.low)) {
      const y = this.y(value);
      shape(
        "line",
        { x1: LEFT, x2: this.width, y1: y, y2: y, class: value ? "grid" : "grid zero" },
        this.svg,
      );
      shape("text", { x: LEFT - 6, y: y + 4, class: "tick" }, this.svg, String(value).replace("-", "−"));
    }
    this.cursor = shape("line", { class: "cursor", y1: TOP - 6, y2: this.height - FOOT + 4 }, this.svg);
    for (const line of LINES) this.line(line);
    const step = Math.ceil((layers.length * 34) / this.width);
    layers.forEach((layer, place) => {
      if (place % step) return;
      shape("text", { x: this.x(place), y: this.height - 5, class: "depth" }, this.svg, layer.depth);
    });
    for (const [place, layer] of layers.entries()) this.target(layer, place);
    this.move(position);
  }

  line({ of, className, draw }) {
    let path = "";
    let down = false;
    this.layers.forEach((layer, place) => {
      if (layer[of] !== null)
        path += `${down ? "L" : "M"}${this.x(place).toFixed(1)} ${this.y(layer[of]).toFixed(1)}`;
      down = layer[of] !== null;
    });
    shape("path", { d: path, class: `line ${className}` }, this.svg);
    this.layers.forEach((layer, place) => {
      if (layer[of] === null) return;
      const at = `translate(${this.x(place).toFixed(1)} ${this.y(layer[of]).toFixed(1)})`;
      shape("path", { d: draw, transform: at, class: `mark ${className}` }, this.svg);
    });
  }

  // A column to click for each layer; the slider is its counterpart on the keyboard.
  target(layer, place) {
    const half = (this.width - LEFT - 2 * EDGE) / Math.max(1, this.layers.length - 1) / 2;
    const column = shape(
      "rect",
      { x: this.x(place) - half, width: 2 * half, y: 0, height: this.height, class: "target" },
      this.svg,
    );
    const said = (of) => (layer[of] === null ? "none" : layer[of].toFixed(2));
    shape(
      "title",
      {},
      column,
      `${layer.text}\nTrustworthiness ${said("trustworthiness")}, silhouette ${said("silhouette")}`,
    );
    column.addEventListener("click", () => this.choose(place));
  }

  move(position) {
    const x = this.x(position).toFixed(1);
    this.cursor?.setAttribute("x1", x);
    this.cursor?.setAttribute("x2", x);
  }
}
