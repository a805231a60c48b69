import assert from "node:assert/strict";
import test from "node:test";
import { imageOf, isField } from "../../../dashboard/frontend/paste/paste.js";

test("the first image of a clipboard is taken", () => {
  const image = { type: "image/png", size: 10 };
  assert.deepEqual(imageOf([{ type: "text/plain", size: 1 }, image], 10), { file: image });
});

test("without an image, or with one that is too large, there is a message", () => {
  assert.match(imageOf([], 10).problem, /no image/);
  assert.match(imageOf([{ type: "image/png", size: 11 }], 10).problem, /too large/);
});

test("what is pasted into a field stays there", () => {
  const element = (kinds) => ({ matches: (selector) => kinds.some((kind) => selector.includes(kind)) });
  assert.equal(isField(element(["textarea"])), true);
  assert.equal(isField(element(["button"])), false);
  // The document itself, where nothing has the focus.
  assert.equal(isField({}), false);
});
