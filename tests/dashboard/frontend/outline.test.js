import assert from "node:assert/strict";
import test from "node:test";
import { encloses, extended, pathOf, rowsWithin } from "../../../dashboard/frontend/scatter/outline.js";

const SIZE = { width: 100, height: 100 };
const VIEW = { x: 0, y: 0, scale: 10 }; // one unit is ten pixels, the middle is at 50, 50

test("a lasso goes on, and a box has the corner where it began", () => {
  const lasso = [
    [1, 2],
    [3, 4],
    [5, 6],
  ].reduce((line, at) => extended(line, "lasso", at), [[0, 0]]);
  assert.deepEqual(lasso, [
    [0, 0],
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const box = [
    [9, 9],
    [3, 4],
  ].reduce((line, at) => extended(line, "select", at), [[1, 2]]);
  assert.deepEqual(box, [
    [1, 2],
    [3, 2],
    [3, 4],
    [1, 4],
  ]);
  assert.equal(pathOf(box), "M1.0 2.0L3.0 2.0L3.0 4.0L1.0 4.0Z");
  assert.equal(pathOf([]), "");
});

test("an outline encloses what is within it, also where it bends inwards", () => {
  const bent = [
    [0, 0],
    [10, 0],
    [10, 10],
    [5, 2],
    [0, 10],
  ];
  assert.ok(encloses(bent, 1, 5));
  assert.ok(encloses(bent, 9, 5));
  assert.ok(!encloses(bent, 5, 5));
  assert.ok(!encloses(bent, 11, 1));
});

test("the rows within an outline are those of shown points in any direction of drawing", () => {
  const now = Float32Array.of(0, 0, 2, 2, -2, -2, 0, 0);
  const about = { now, styleOf: [0, 1, 0, -1], view: VIEW, size: SIZE };
  const box = [
    [40, 20],
    [80, 20],
    [80, 60],
    [40, 60],
  ];
  assert.deepEqual(rowsWithin(box, about), [0, 1]);
  assert.deepEqual(rowsWithin([...box].reverse(), about), [0, 1]);
  assert.deepEqual(
    rowsWithin(
      [
        [0, 0],
        [9, 0],
        [9, 9],
      ],
      about,
    ),
    [],
  );
});
