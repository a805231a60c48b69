import assert from "node:assert/strict";
import test from "node:test";
import { imageOf } from "../../../dashboard/frontend/paste/paste.js";

test("the first image of a clipboard is taken", () => {
  const image = { type: "image/png", size: 10 };
  assert.deepEqual(imageOf([{ type: "text/plain", size: 1 }, image], 10), { file: image });
});

test("without an image, or with one that is too large, there is a message", () => {
  assert.match(imageOf([], 10).problem, /no image/);
  assert.match(imageOf([{ type: "image/png", size: 11 }], 10).problem, /too large/);
});
