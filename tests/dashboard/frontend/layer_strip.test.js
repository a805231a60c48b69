import assert from "node:assert/strict";
import test from "node:test";
import { barHeights, layerAfterKey, tabStop } from "../../../dashboard/frontend/layer_strip/layer_strip.js";

test("arrow keys go to the next layer and stay at the ends", () => {
  assert.deepEqual(
    ["ArrowLeft", "ArrowRight", "ArrowDown", "ArrowUp", "Home", "End"].map((key) => layerAfterKey(key, 3, 8)),
    [2, 4, 2, 4, 0, 7],
  );
  assert.equal(layerAfterKey("ArrowRight", 7, 8), 7);
  assert.equal(layerAfterKey("ArrowLeft", 0, 8), 0);
  assert.equal(layerAfterKey("Tab", 3, 8), undefined);
});

test("Tab reaches the shown layer, or the first where it is none of these", () => {
  assert.equal(tabStop(["early", "late"], "late"), 1);
  assert.equal(tabStop(["early", "late"], "between"), 0);
});

test("bars are shares of the highest score, and nothing where it is not known", () => {
  assert.deepEqual(barHeights([20, null, 80]), [0.25, 0, 1]);
  assert.deepEqual(barHeights([0, 0]), [0, 0]);
});
