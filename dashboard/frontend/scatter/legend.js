// Buttons that hide and show the classes.

import { button, shape } from "./elements.js";

const MOST_LISTED = 40; // classes to list at first

const GLYPHS = {
  circle: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
  square: "M-4.5 -4.5h9v9h-9z",
  diamond: "M0 -6L6 0L0 6L-6 0z",
  cross: "M-6 -2h4v-4h4v4h4v4h-4v4h-4v-4h-4z",
  x: "M-5.5 -3L-3 -5.5L0 -2.5L3 -5.5L5.5 -3L2.5 0L5.5 3L3 5.5L0 2.5L-3 5.5L-5.5 3L-2.5 0z",
  "triangle-up": "M0 -5.5L6 5H-6z",
  "triangle-down": "M0 5.5L6 -5H-6z",
  star: "M0 -6.5L1.6 -2.2L6.2 -2L2.6 0.8L3.8 5.3L0 2.7L-3.8 5.3L-2.6 0.8L-6.2 -2L-1.6 -2.2z",
  hexagon: "M0 -6L5.2 -3V3L0 6L-5.2 3V-3z",
  bowtie: "M-5.5 -5L0 0L5.5 -5V5L0 0L-5.5 5z",
};

// Attributes of the SVG path of a class's symbol: filled, or only its outline.
export const glyphOf = ({ color, symbol, symbol_3d }, dimensions) => {
  const name = dimensions === 2 ? symbol : symbol_3d;
  const open = dimensions === 3 && name.endsWith("-open");
  return {
    d: GLYPHS[open ? name.slice(0, -"-open".length) : name] ?? GLYPHS.circle,
    fill: open ? "none" : color,
    stroke: open ? color : "none",
    "stroke-width": 2,
  };
};

// Places of the largest classes: as many as fit at a glance.
export const largest = (counts) =>
  new Set([...counts.keys()].sort((a, b) => counts[b] - counts[a] || a - b).slice(0, MOST_LISTED));

export const toggled = (hidden, name) => {
  const next = new Set(hidden);
  if (!next.delete(name)) next.add(name);
  return next;
};

// Names of the other classes; of none for null.
export const allBut = (classes, name) =>
  new Set(name === null ? [] : classes.map((style) => style.name).filter((other) => other !== name));

// counts: points of each class; only(null) shows all classes.
export const drawLegend = (legend, classes, counts, dimensions, hidden, { toggle, only }) => {
  const focused = [...legend.children].indexOf(document.activeElement);
  const whole = legend.dataset.whole === "true";
  const first = whole ? new Set(counts.keys()) : largest(counts);
  const buttons = classes.map((style, i) => {
    const one = button("", () => toggle(style.name));
    one.dataset.name = style.name;
    one.title = `${style.name}\nClick to hide or show; double-click to show only this class`;
    one.hidden = !first.has(i);
    const svg = shape("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" }, one);
    shape("path", glyphOf(style, dimensions), svg);
    const [name, count] = ["name", "count"].map((of) =>
      Object.assign(document.createElement("span"), { className: of }),
    );
    name.textContent = style.short;
    count.textContent = counts[i].toLocaleString("en");
    one.append(name, count);
    one.ondblclick = () => only(style.name);
    return one;
  });
  const all = button("Show all", () => only(null));
  all.className = "all";
  all.dataset.all = "";
  const more = button(whole ? "Fewer classes" : `All ${counts.length.toLocaleString("en")} classes`, () => {
    legend.dataset.whole = !whole;
    drawLegend(legend, classes, counts, dimensions, hidden, { toggle, only });
  });
  more.className = "all";
  more.hidden = counts.length <= MOST_LISTED;
  legend.replaceChildren(...buttons, more, all);
  markHidden(legend, hidden);
  if (focused >= 0) legend.children[focused]?.focus();
};

export const markHidden = (legend, hidden) => {
  for (const one of legend.children) {
    if (one.dataset.name !== undefined) one.setAttribute("aria-pressed", !hidden.has(one.dataset.name));
    else if (one.dataset.all !== undefined) one.hidden = !hidden.size;
  }
};
