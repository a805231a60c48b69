import assert from "node:assert/strict";
import test from "node:test";
import { middles, rowsInView, withoutOverlap } from "../../../dashboard/frontend/scatter/annotations.js";

const SIZE = { width: 400, height: 300 };
const VIEW = { x: 0, y: 0, scale: 10 };

test("rows in view have a style and lie within the frame", () => {
  const now = Float32Array.of(0, 0, 30, 0, 1, 1);
  assert.deepEqual(rowsInView(now, [0, 0, -1], VIEW, SIZE), [0]);
});

test("a class is named at the point in its middle, large classes first", () => {
  const now = Float32Array.of(0, 0, 1, 0, 9, 0, 5, 5);
  const found = middles([0, 1, 2, 3], (row) => (row === 3 ? 7 : 2), now);
  assert.deepEqual(found, [
    { code: 2, count: 3, row: 1 },
    { code: 7, count: 1, row: 3 },
  ]);
});

test("names do not lie over each other nor beyond the edge", () => {
  const kept = withoutOverlap(
    [
      { name: "birds", x: 2, y: 100 },
      { name: "bees", x: 12, y: 105 },
      { name: "a name of two hundred letters ".repeat(7), x: 390, y: 200 },
    ],
    SIZE,
  );
  assert.deepEqual(
    kept.map(({ name }) => name.slice(0, 6)),
    ["birds", "a name"],
  );
  assert.ok(kept.every(({ x, half }) => x - half >= 0 && x + half <= SIZE.width));
});

test("of very many classes few have their names", () => {
  const places = (count) =>
    Array.from({ length: count }, (_, i) => ({ name: `${i}`, x: 50 * (i % 8), y: 24 * (i % 80) }));
  const size = { width: 600, height: 3000 };
  assert.ok(withoutOverlap(places(40), size).length > 30);
  assert.equal(withoutOverlap(places(1000), size).length, 15);
});
