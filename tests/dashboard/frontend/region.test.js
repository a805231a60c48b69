import assert from "node:assert/strict";
import test from "node:test";
import { boxAfterKey, boxBetween, moveBox, resizeBox } from "../../../dashboard/frontend/region/region.js";

const equal = (actual, expected) =>
  assert.deepEqual(
    actual.map((share) => Number(share.toFixed(6))),
    expected,
  );

test("a box moves within the image and keeps its size", () => {
  equal(moveBox([0.2, 0.2, 0.5, 0.6], 0.1, -0.1), [0.3, 0.1, 0.6, 0.5]);
  equal(moveBox([0.2, 0.2, 0.5, 0.6], 9, -9), [0.7, 0, 1, 0.4]);
});

test("a box keeps its upper left corner, a least size and stays within the image", () => {
  equal(resizeBox([0.2, 0.2, 0.5, 0.6], 0.8, 0.9), [0.2, 0.2, 0.8, 0.9]);
  equal(resizeBox([0.2, 0.2, 0.5, 0.6], 0, 2), [0.2, 0.2, 0.23, 1]);
});

test("a box is drawn from any corner, once it is large enough", () => {
  equal(boxBetween([0.6, 0.1], [0.2, 0.5]), [0.2, 0.1, 0.6, 0.5]);
  assert.equal(boxBetween([0.6, 0.1], [0.61, 0.5]), undefined);
});

test("arrow keys move the box, with Shift they change its size", () => {
  const box = [0.2, 0.2, 0.5, 0.6];
  equal(boxAfterKey(box, "ArrowLeft", false), [0.18, 0.2, 0.48, 0.6]);
  equal(boxAfterKey(box, "ArrowDown", true), [0.2, 0.2, 0.5, 0.62]);
  assert.equal(boxAfterKey(box, "Enter", false), undefined);
});
