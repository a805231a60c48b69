// Draws the points while they or the view move. Plotly redraws a hundred thousand points three times a second without a
// graphics card; at most a few thousand on a plain canvas move smoothly, and all are back when they rest.

import { FAINT } from "./chart.js";
import { glyphOf } from "./legend.js";
import { pixelOf } from "./view.js";

export const MOST_MOVING = 5000;
const GLYPH = 12; // extent of a glyph in its own units

// The numbers below `count` in an order without a pattern, always the same: its beginning is a fair sample.
export const shuffled = (count) => {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  let seed = 1;
  for (let i = count - 1; i > 0; i -= 1) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
};

// Pixels of at most MOST_MOVING points in view, for each style: x, y, row. `styleOf` gives the style of a row, below zero for none.
export const sample = ({ order, now, styleOf, count, view, size }) => {
  const found = Array.from({ length: count }, () => []);
  const edge = 10;
  let left = MOST_MOVING;
  for (const row of order) {
    const style = styleOf[row];
    if (style < 0) continue;
    const [x, y] = pixelOf(view, size, now[2 * row], now[2 * row + 1]);
    if (x < -edge || y < -edge || x > size.width + edge || y > size.height + edge) continue;
    found[style].push(x, y, row);
    left -= 1;
    if (!left) break;
  }
  return found;
};

// A small canvas with one mark, to be copied.
const stamp = (style, points, ratio) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.ceil((points + 4) * ratio);
  const context = canvas.getContext("2d");
  const { d, fill } = glyphOf(style, 2);
  context.translate(canvas.width / 2, canvas.height / 2);
  context.scale((points / GLYPH) * 1.15 * ratio, (points / GLYPH) * 1.15 * ratio);
  context.fillStyle = fill;
  context.fill(new Path2D(d));
  return canvas;
};

export class Moving {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  // What stays while the points move.
  prepare({ styles, pointSize, opacity }) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const look = JSON.stringify([styles, pointSize, ratio]);
    this.opacity = opacity;
    if (look === this.look) return;
    this.look = look;
    this.ratio = ratio;
    this.stamps = styles.map((style) => stamp(style, pointSize, ratio));
  }

  // `bright` tells which rows are not faint, undefined where none is; `lines` are pairs of rows with their mark, `rings` rows with colors.
  draw({ order, now, styleOf, view, size, bright, lines, rings }) {
    const { canvas, context, ratio } = this;
    const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    else context.clearRect(0, 0, width, height);
    const found = sample({ order, now, styleOf, count: this.stamps.length, view, size });
    for (const shownBright of bright ? [false, true] : [true]) {
      context.globalAlpha = this.opacity * (shownBright ? 1 : FAINT);
      for (const [style, pixels] of found.entries()) {
        const mark = this.stamps[style];
        const half = mark.width / 2;
        for (let i = 0; i < pixels.length; i += 3)
          if (!bright || Boolean(bright[pixels[i + 2]]) === shownBright)
            context.drawImage(
              mark,
              Math.round(pixels[i] * ratio - half),
              Math.round(pixels[i + 1] * ratio - half),
            );
      }
    }
    context.globalAlpha = 1;
    const at = (row) => pixelOf(view, size, now[2 * row], now[2 * row + 1]).map((pixel) => pixel * ratio);
    context.lineWidth = 2 * ratio;
    for (const { from, to, color, dashed } of lines) {
      context.strokeStyle = color;
      context.setLineDash(dashed ? [8 * ratio, 6 * ratio] : []);
      context.beginPath();
      context.moveTo(...at(from));
      context.lineTo(...at(to));
      context.stroke();
    }
    context.setLineDash([]);
    for (const { row, color, diameter } of rings) {
      context.strokeStyle = color;
      context.beginPath();
      context.arc(...at(row), (diameter / 2) * ratio, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
