// Where the points are over time. A position is the index of a layer, or a fraction between two.

export const JUMP_MS = 450; // to a chosen layer
const MOVE_MS = 1100; // from one layer to the next while playing
const HOLD_MS = 350; // rest at each layer
const LAYER_MS = HOLD_MS + MOVE_MS;

export const ease = (t) => (t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2);

const easeInverse = (share) => (share < 0.5 ? Math.cbrt(share / 4) : 1 - Math.cbrt((1 - share) * 2) / 2);

// Position after so many milliseconds of playing from the first layer; without motion it goes in whole steps.
export const positionAt = (clock, last, still) => {
  const layer = Math.min(last, Math.floor(clock / LAYER_MS));
  if (still || layer === last) return layer;
  return layer + ease(Math.max(0, (clock % LAYER_MS) - HOLD_MS) / MOVE_MS);
};

// The inverse of positionAt: playing goes on from where the points are.
export const clockAt = (position) => {
  const share = position % 1;
  return Math.floor(position) * LAYER_MS + (share && HOLD_MS + MOVE_MS * easeInverse(share));
};

// Writes the coordinates between two layers into `now`, without allocating: it runs in every frame.
export const interpolate = (from, to, share, now) => {
  for (let i = 0; i < now.length; i += 1) now[i] = from[i] + (to[i] - from[i]) * share;
};
