import assert from "node:assert/strict";
import test from "node:test";
import { describe, linePath, scaleOf } from "../../../dashboard/frontend/scatter/depth_chart.js";

const layer = (depth, trustworthiness, silhouette) => ({ depth, trustworthiness, silhouette });
const LAYERS = [layer(1, 0.9, -0.2), layer(5, null, null), layer(9, 0.8, 0.5)];

test("layers are spread over the width, scores over the height", () => {
  const { x, y, step } = scaleOf(LAYERS, 246, 132);
  assert.deepEqual([x(0), x(1), x(2)], [38, 138, 238]);
  assert.equal(step, 100);
  assert.equal(y(1), 12);
  assert.equal(y(-0.25), 112);
});

test("the axis reaches below zero where a score does", () => {
  assert.deepEqual(scaleOf(LAYERS, 246, 132).ticks, [1, 0.5, 0]);
  assert.deepEqual(scaleOf([layer(1, 0.9, -0.6)], 246, 132).ticks, [1, 0.5, 0, -0.5]);
  assert.deepEqual(scaleOf([layer(1, null, null)], 246, 132).ticks, []);
});

test("numbers of layers are left out where they would overlap", () => {
  const layers = Array.from({ length: 20 }, (_, i) => layer(i, 1, 1));
  assert.equal(scaleOf(layers, 1000, 132).labelEvery, 1);
  assert.equal(scaleOf(layers, 300, 132).labelEvery, 3);
});

test("a line is broken where a layer has no score", () => {
  const scale = { x: (i) => 10 * i, y: (value) => 100 * value };
  assert.equal(linePath([0.5, 0.25, null, 1], scale), "M0.0 50.0L10.0 25.0M30.0 100.0");
});

test("the description names every score", () => {
  assert.equal(
    describe(LAYERS),
    "Line chart over the layers. Trustworthiness 1: 0.90, 5: none, 9: 0.80. Silhouette 1: -0.20, 5: none, 9: 0.50.",
  );
});
