import assert from "node:assert/strict";
import test from "node:test";
import { span } from "../../../dashboard/frontend/scatter/gestures.js";
import { MOST_MOVING, sample, shuffled } from "../../../dashboard/frontend/scatter/moving.js";

const SIZE = { width: 100, height: 100 };
const VIEW = { x: 0, y: 0, scale: 50 };

test("the order has every row once and no pattern", () => {
  const order = shuffled(1000);
  assert.equal(new Set(order).size, 1000);
  assert.deepEqual(shuffled(1000), order);
  // Classes often follow each other in steps of ten.
  const counts = Array.from({ length: 10 }, () => 0);
  for (const row of order.subarray(0, 200)) counts[row % 10] += 1;
  assert.ok(Math.min(...counts) >= 8, counts.join());
});

test("at most five thousand points in view are drawn, by style", () => {
  const count = 3 * MOST_MOVING;
  const about = {
    order: shuffled(count),
    now: new Float32Array(2 * count),
    count: 2,
    view: VIEW,
    size: SIZE,
  };
  const found = sample({ ...about, styleOf: Int16Array.from({ length: count }, (_, row) => (row % 3) - 1) });
  const drawn = found.map((pixels) => pixels.length / 3);
  assert.equal(drawn[0] + drawn[1], MOST_MOVING);
  assert.ok(Math.abs(drawn[0] - drawn[1]) < 0.1 * MOST_MOVING);
  assert.ok(found[0].every((value, i) => i % 3 !== 2 || value % 3 === 1));
});

test("points out of view do not count", () => {
  const now = Float32Array.of(0, 0, 5, 5, 1, -1);
  const found = sample({ order: [0, 1, 2], now, styleOf: [0, 0, 0], count: 1, view: VIEW, size: SIZE });
  assert.deepEqual(found, [[50, 50, 0, 100, 100, 2]]);
});

test("two fingers have a middle and a distance", () => {
  assert.deepEqual(
    span([
      [0, 0],
      [6, 8],
    ]),
    { x: 3, y: 4, apart: 10 },
  );
});
