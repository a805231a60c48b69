// What part of the plane is shown, as pure functions. A view is the point in the middle and the pixels of one unit:
// the same along both axes, since only distances have a meaning. A size is in pixels, a point of it counts from its upper left.

const AROUND = 30; // pixels around the points, so that their marks are whole
const MOST = 400; // times that a view is larger than the fitted one

const center = ([low, high]) => (low + high) / 2;
const extent = ([low, high]) => high - low;

// The view that holds a box, as large as possible.
export const fitted = (box, { width, height }) => {
  const least = Math.max(1e-6, ...box.map(extent)) / 1e3;
  const [across, down] = box.map((bounds) => Math.max(least, extent(bounds)));
  return {
    x: center(box[0]),
    y: center(box[1]),
    scale: Math.min(Math.max(40, width - 2 * AROUND) / across, Math.max(40, height - 2 * AROUND) / down),
  };
};

export const rangesOf = ({ x, y, scale }, { width, height }) => [
  [x - width / 2 / scale, x + width / 2 / scale],
  [y - height / 2 / scale, y + height / 2 / scale],
];

export const pixelOf = (view, size, x, y) => [
  size.width / 2 + (x - view.x) * view.scale,
  size.height / 2 - (y - view.y) * view.scale,
];

// The view after moving by pixels.
export const panned = ({ x, y, scale }, dx, dy) => ({ x: x - dx / scale, y: y + dy / scale, scale });

// The view that is `factor` times as large; what is at a pixel stays there. `whole` is the view that holds everything.
export const zoomed = (view, size, [px, py], factor, whole) => {
  const scale = Math.min(MOST * whole.scale, Math.max(whole.scale / 4, view.scale * factor));
  const [dx, dy] = [px - size.width / 2, size.height / 2 - py];
  return {
    x: view.x + dx / view.scale - dx / scale,
    y: view.y + dy / view.scale - dy / scale,
    scale,
  };
};

export const boxBetween = (from, to, share) =>
  from.map((bounds, axis) => bounds.map((value, end) => value + (to[axis][end] - value) * share));

// The least box around some rows; undefined for none.
export const boxOf = (coordinates, dimensions, rows) => {
  const box = Array.from({ length: dimensions }, () => [Infinity, -Infinity]);
  for (const row of rows)
    for (let axis = 0; axis < dimensions; axis += 1) {
      const value = coordinates[row * dimensions + axis];
      if (value < box[axis][0]) box[axis][0] = value;
      if (value > box[axis][1]) box[axis][1] = value;
    }
  return box[0][0] <= box[0][1] ? box : undefined;
};

// How far the wheel turns the zoom; a pinch on a touchpad arrives as small steps of the wheel with Ctrl.
export const wheelFactor = ({ deltaY, deltaMode, ctrlKey }) => {
  const pixels = deltaMode ? deltaY * 33 : deltaY;
  return Math.exp(-Math.max(-240, Math.min(240, pixels)) * (ctrlKey ? 0.01 : 0.002));
};
