// How many points there are where: a smoothed count on a grid, which Plotly draws as filled contours over the points.

const CELLS = 72; // along the longer side
const BLURS = 3; // box filters in a row come near a normal distribution
const RADIUS = 2; // of each, in cells
export const MANY_POINTS = 5000; // from which on it is shown unless the reader says otherwise

// Means over 2 * radius + 1 cells along one direction; beyond the grid there is nothing.
const blurred = (counts, width, height, radius) => {
  const out = new Float32Array(counts.length);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (let i = Math.max(0, x - radius); i <= Math.min(width - 1, x + radius); i += 1)
        sum += counts[y * width + i];
      out[x * height + y] = sum / (2 * radius + 1);
    }
  return out; // transposed: the second pass goes along the other direction and turns it back
};

// Places of the cells' middles, and a row of counts for each y. Rows whose style is below zero do not count.
export const densityOf = (now, styleOf, box) => {
  const [[x0, x1], [y0, y1]] = box;
  const cell = (Math.max(x1 - x0, y1 - y0) || 1) / (CELLS - 4 * RADIUS * BLURS);
  const margin = RADIUS * BLURS;
  const width = Math.ceil((x1 - x0) / cell) + 2 * margin + 1;
  const height = Math.ceil((y1 - y0) / cell) + 2 * margin + 1;
  let counts = new Float32Array(width * height);
  for (let row = 0; row < styleOf.length; row += 1) {
    if (styleOf[row] < 0) continue;
    const x = Math.floor((now[2 * row] - x0) / cell) + margin;
    const y = Math.floor((now[2 * row + 1] - y0) / cell) + margin;
    if (x >= 0 && y >= 0 && x < width && y < height) counts[y * width + x] += 1;
  }
  for (let i = 0; i < BLURS; i += 1)
    counts = blurred(blurred(counts, width, height, RADIUS), height, width, RADIUS);
  const middles = (start, count) =>
    Array.from({ length: count }, (_, i) => start + (i - margin + 0.5) * cell);
  return {
    x: middles(x0, width),
    y: middles(y0, height),
    z: Array.from({ length: height }, (_, y) => counts.subarray(y * width, (y + 1) * width)),
  };
};

const channels = (color) =>
  [1, 3, 5].map((place) => Number.parseInt(color.slice(place, place + 2), 16)).join(", ");

export const densityTrace = (density, color) => ({
  type: "contour",
  ...density,
  showscale: false,
  hoverinfo: "skip",
  ncontours: 9,
  contours: { coloring: "fill" },
  line: { width: 0.5, color: `rgba(${channels(color)}, 0.5)` },
  colorscale: [
    [0, `rgba(${channels(color)}, 0)`],
    [1, `rgba(${channels(color)}, 0.6)`],
  ],
});
