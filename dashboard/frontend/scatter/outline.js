// What a reader draws around points, and the points in it. Plotly would look for them at every move, which takes seconds where they are many.

import { pixelOf } from "./view.js";

// The outline, a list of pixels, after the pointer has moved on: a line that goes on with the lasso, a box between two corners.
export const extended = (outline, tool, [x, y]) => {
  if (tool === "lasso") return [...outline, [x, y]];
  const [[left, top]] = outline;
  return [
    [left, top],
    [x, top],
    [x, y],
    [left, y],
  ];
};

// As the path of an SVG.
export const pathOf = (outline) =>
  outline.length ? `M${outline.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z` : "";

// Whether a pixel is within: a ray from it crosses the outline an odd number of times.
export const encloses = (outline, x, y) => {
  let inside = false;
  for (let i = 0, before = outline.length - 1; i < outline.length; before = i, i += 1) {
    const [[x1, y1], [x2, y2]] = [outline[i], outline[before]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
};

// Rows of the shown points within an outline; a row whose style is below zero is not shown.
export const rowsWithin = (outline, { now, styleOf, view, size }) => {
  const xs = outline.map(([x]) => x);
  const ys = outline.map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  for (let row = 0; row < styleOf.length; row += 1) {
    if (styleOf[row] < 0) continue;
    const [x, y] = pixelOf(view, size, now[2 * row], now[2 * row + 1]);
    if (x >= left && x <= right && y >= top && y <= bottom && encloses(outline, x, y)) found.push(row);
  }
  return found;
};
