// A line chart of trustworthiness and silhouette over the layers; the slider above it is its axis.

import { shape } from "./elements.js";

// The slider above begins at LEFT, after the numbers of the axis; the center of its thumb stays half a thumb (8 px) away
// from its ends.
const LEFT = 30;
const EDGE = 8;
const TOP = 12;
const FOOT = 20;
const LABEL_WIDTH = 34;
const SYMBOLS = {
  trustworthiness: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
  silhouette: "M-3.8 -3.8h7.6v7.6h-7.6z",
};
const NAMES = Object.keys(SYMBOLS);

const spokenScore = (value) => value?.toFixed(2) ?? "none";

export const describe = (layers) => {
  const list = (name) => layers.map((layer) => `${layer.depth}: ${spokenScore(layer[name])}`).join(", ");
  return `Line chart over the layers. Trustworthiness ${list("trustworthiness")}. Silhouette ${list("silhouette")}.`;
};

// Pixels of positions and scores; no ticks where no layer has a score.
export const scaleOf = (layers, width, height) => {
  const scores = layers
    .flatMap((layer) => NAMES.map((name) => layer[name]))
    .filter((value) => value !== null);
  const low = Math.min(0, ...scores.map((value) => Math.floor(value * 4) / 4));
  const step = (width - LEFT - 2 * EDGE) / Math.max(1, layers.length - 1);
  return {
    x: (position) => LEFT + EDGE + position * step,
    y: (value) => TOP + ((1 - value) / (1 - low)) * (height - TOP - FOOT),
    step,
    ticks: scores.length ? [1, 0.5, 0, -0.5, -1].filter((tick) => tick >= low) : [],
    labelEvery: Math.ceil((layers.length * LABEL_WIDTH) / width),
  };
};

// A line through the scores, broken where a layer has none.
export const linePath = (scores, { x, y }) =>
  scores
    .map((value, i) => {
      if (value === null) return "";
      const begins = i === 0 || scores[i - 1] === null;
      return `${begins ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    })
    .join("");

export class DepthChart {
  constructor(svg, choose) {
    this.svg = svg;
    this.choose = choose;
  }

  draw(layers, position) {
    const { svg } = this;
    const judged = layers.some((layer) => NAMES.some((name) => layer[name] !== null));
    // Without scores only the axis is left, and the chart is lower.
    svg.closest(".below").classList.toggle("unjudged", !judged);
    const width = Math.max(120, svg.clientWidth);
    const height = svg.clientHeight || 120;
    this.scale = scaleOf(layers, width, height);
    const { x, y, step, ticks, labelEvery } = this.scale;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", describe(layers));
    svg.replaceChildren();
    for (const tick of ticks) {
      shape(
        "line",
        { x1: LEFT, x2: width, y1: y(tick), y2: y(tick), class: tick ? "grid" : "grid zero" },
        svg,
      );
      shape("text", { x: LEFT - 6, y: y(tick) + 4, class: "tick" }, svg, String(tick).replace("-", "−"));
    }
    this.cursor = shape("line", { class: "cursor", y1: TOP - 6, y2: height - FOOT + 4 }, svg);
    for (const name of NAMES) {
      const scores = layers.map((layer) => layer[name]);
      shape("path", { d: linePath(scores, this.scale), class: `line ${name}` }, svg);
      for (const [i, value] of scores.entries()) {
        if (value === null) continue;
        const transform = `translate(${x(i).toFixed(1)} ${y(value).toFixed(1)})`;
        shape("path", { d: SYMBOLS[name], transform, class: `mark ${name}` }, svg);
      }
    }
    for (const [i, layer] of layers.entries()) {
      if (i % labelEvery === 0) shape("text", { x: x(i), y: height - 5, class: "depth" }, svg, layer.depth);
    }
    // A column to click for each layer; the slider is its counterpart on the keyboard.
    for (const [i, layer] of layers.entries()) {
      const column = shape("rect", { x: x(i) - step / 2, width: step, y: 0, height, class: "target" }, svg);
      const scores = `Trustworthiness ${spokenScore(layer.trustworthiness)}, silhouette ${spokenScore(layer.silhouette)}`;
      shape("title", {}, column, `${layer.text}\n${scores}`);
      column.addEventListener("click", () => this.choose(i));
    }
    this.move(position);
  }

  move(position) {
    const x = this.scale?.x(position).toFixed(1);
    this.cursor?.setAttribute("x1", x);
    this.cursor?.setAttribute("x2", x);
  }
}
