import assert from "node:assert/strict";
import test from "node:test";
import { frameInsets, gridColumns, indexAfterKey } from "../../../dashboard/frontend/gallery/gallery.js";

test("a frame around the whole image follows the image's shape", () => {
  const whole = [0, 0, 1, 1];
  assert.deepEqual(frameInsets(whole, 100, 100), { left: "6%", top: "6%", right: "6%", bottom: "6%" });
  assert.deepEqual(frameInsets(whole, 200, 100), { left: "6%", top: "28%", right: "6%", bottom: "28%" });
});

test("a frame lies where its region is in the image", () => {
  assert.deepEqual(frameInsets([0.5, 0, 1, 0.25], 100, 200), {
    left: "50%",
    top: "6%",
    right: "28%",
    bottom: "72%",
  });
});

test("keys go through the tiles", () => {
  const after = (key) => indexAfterKey(key, 5, 10, 4);
  assert.deepEqual(
    ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].map(after),
    [4, 6, 1, 9, 0, 9],
  );
  assert.equal(after("Tab"), undefined);
});

test("as many tiles are in a row as fit, or at most so many", () => {
  assert.equal(gridColumns(0), "repeat(auto-fill, minmax(min(100%, var(--least)), 1fr))");
  assert.match(gridColumns(4), /max\(var\(--least\), \(100% - 3 \* var\(--space\)\) \/ 4\)/);
});
