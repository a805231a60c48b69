import assert from "node:assert/strict";
import test from "node:test";
import {
  boxBetween,
  boxOf,
  fitted,
  panned,
  pixelOf,
  rangesOf,
  wheelFactor,
  zoomed,
} from "../../../dashboard/frontend/scatter/view.js";

const SIZE = { width: 860, height: 560 };
const BOX = [
  [-1, 1],
  [0, 1],
];
const round = (numbers) => numbers.map((number) => Math.round(number * 1e6) / 1e6);

test("the fitted view is as large as the box allows and has the same scale along both axes", () => {
  const view = fitted(BOX, SIZE);
  assert.deepEqual(view, { x: 0, y: 0.5, scale: 400 });
  assert.deepEqual(pixelOf(view, SIZE, -1, 1), [30, 80]);
  assert.equal(fitted(BOX, { width: 2000, height: 560 }).scale, 500);
});

test("a box without extent is in the middle", () => {
  const view = fitted(
    [
      [2, 2],
      [3, 3],
    ],
    SIZE,
  );
  assert.ok(Number.isFinite(view.scale));
  assert.deepEqual(pixelOf(view, SIZE, 2, 3), [430, 280]);
});

test("ranges are the edges of the view, whatever size there was before", () => {
  const small = fitted(BOX, { width: 300, height: 300 });
  assert.ok(small.scale < 400);
  assert.deepEqual(fitted(BOX, SIZE), { x: 0, y: 0.5, scale: 400 });
  const [x, y] = rangesOf({ x: 0, y: 0.5, scale: 400 }, SIZE);
  assert.deepEqual(round([...x, ...y]), [-1.075, 1.075, -0.2, 1.2]);
});

test("what is below the mouse stays there while it zooms", () => {
  const whole = fitted(BOX, SIZE);
  const nearer = zoomed(whole, SIZE, [30, 80], 3, whole);
  assert.deepEqual(round(pixelOf(nearer, SIZE, -1, 1)), [30, 80]);
  assert.equal(nearer.scale, 1200);
  assert.equal(zoomed(whole, SIZE, [0, 0], 1e9, whole).scale, 400 * whole.scale);
  assert.equal(zoomed(whole, SIZE, [0, 0], 1e-9, whole).scale, whole.scale / 4);
});

test("panning moves what is shown with the mouse", () => {
  const whole = fitted(BOX, SIZE);
  assert.deepEqual(pixelOf(panned(whole, 10, -20), SIZE, 0, 0.5), [440, 260]);
});

test("a wheel turned forward zooms in, and no turn is too large", () => {
  assert.ok(wheelFactor({ deltaY: -100, deltaMode: 0 }) > 1);
  assert.ok(wheelFactor({ deltaY: 3, deltaMode: 1 }) < 1);
  assert.equal(wheelFactor({ deltaY: -1e6 }), wheelFactor({ deltaY: -240 }));
  assert.ok(wheelFactor({ deltaY: -5, ctrlKey: true }) > wheelFactor({ deltaY: -5 }));
});

test("a box is the least around some rows", () => {
  assert.deepEqual(boxOf([0, 1, 4, -2, 9, 9], 2, [0, 1]), [
    [0, 4],
    [-2, 1],
  ]);
  assert.equal(boxOf([], 2, []), undefined);
  assert.deepEqual(boxBetween([[0, 2]], [[4, 4]], 0.5), [[2, 3]]);
});
