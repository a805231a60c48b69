import assert from "node:assert/strict";
import test from "node:test";
import { clockAt, ease, interpolate, positionAt } from "../../../dashboard/frontend/scatter/motion.js";

const close = (actual, expected) =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`);

test("easing starts and ends slowly", () => {
  assert.equal(ease(0), 0);
  assert.equal(ease(0.5), 0.5);
  assert.equal(ease(1), 1);
  assert.ok(ease(0.1) < 0.01 && ease(0.9) > 0.99);
});

test("playing rests at a layer, moves to the next and ends at the last", () => {
  assert.equal(positionAt(0, 3, false), 0);
  assert.equal(positionAt(350, 3, false), 0);
  assert.equal(positionAt(350 + 550, 3, false), 0.5);
  assert.equal(positionAt(1450, 3, false), 1);
  assert.equal(positionAt(1e9, 3, false), 3);
});

test("without motion it jumps from layer to layer", () => {
  assert.equal(positionAt(1449, 3, true), 0);
  assert.equal(positionAt(1450, 3, true), 1);
});

test("playing goes on from any position", () => {
  for (const position of [0, 0.02, 0.5, 0.93, 1, 2.25])
    close(positionAt(clockAt(position), 3, false), position);
});

test("coordinates between two layers are written in place", () => {
  const now = new Float32Array(3);
  interpolate([0, 2, -4], [1, 2, 4], 0.25, now);
  assert.deepEqual([...now], [0.25, 2, -2]);
});
