import assert from "node:assert/strict";
import test from "node:test";
import { densityOf, densityTrace } from "../../../dashboard/frontend/scatter/density.js";

const box = [
  [0, 10],
  [0, 5],
];
const sum = ({ z }) => z.reduce((all, row) => all + row.reduce((a, b) => a + b, 0), 0);

test("every shown point counts once, and the count is highest where the points are", () => {
  const now = Float32Array.from([2, 1, 2, 1, 2, 1, 9, 4, 5, 5]);
  const density = densityOf(now, [0, 0, 0, 0, -1], box);
  assert.ok(Math.abs(sum(density) - 4) < 1e-4);
  const [top] = density.z
    .flatMap((row, y) => Array.from(row, (count, x) => ({ count, x: density.x[x], y: density.y[y] })))
    .sort((a, b) => b.count - a.count);
  assert.ok(Math.hypot(top.x - 2, top.y - 1) < 0.4);
});

test("points that all lie in one place give a grid too", () => {
  const density = densityOf(
    Float32Array.from([3, 3, 3, 3]),
    [0, 0],
    [
      [3, 3],
      [3, 3],
    ],
  );
  assert.ok(Math.abs(sum(density) - 2) < 1e-4);
});

test("nothing is drawn where there are no points", () => {
  const { colorscale } = densityTrace({ x: [], y: [], z: [] }, "#1f5f99");
  assert.equal(colorscale[0][1], "rgba(31, 95, 153, 0)");
});
