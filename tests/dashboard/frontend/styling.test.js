import assert from "node:assert/strict";
import test from "node:test";
import { matching, styleOfRows, stylesOfClasses } from "../../../dashboard/frontend/scatter/styling.js";

const look = (name, color) => ({ name, color, symbol: "circle", symbol_3d: "circle" });
const CLASSES = [look("cat", "#111"), look("dog", "#222"), look("Owl", "#111")];
const IMAGES = { ids: [4, 5, 6], labels: { 4: 0, 5: 1, 6: 2 }, titles: { 4: "tom", 5: "", 6: "hedwig" } };

test("classes that look alike share a style", () => {
  const { styles, of } = stylesOfClasses(CLASSES);
  assert.deepEqual(of, [0, 1, 0]);
  assert.equal(styles.length, 2);
});

test("a row has the style of its class, none where it is hidden or unknown", () => {
  const about = { ...IMAGES, classes: CLASSES, of: [0, 1, 0] };
  assert.deepEqual([...styleOfRows({ ...about, hidden: new Set(["dog"]) })], [0, -1, 0]);
  assert.deepEqual([...styleOfRows({ ...about, labels: { 4: 9 }, hidden: new Set() })], [-1, -1, -1]);
});

test("images are found by title or class in any case", () => {
  const about = { ...IMAGES, classes: CLASSES };
  assert.deepEqual(matching("OWL", about), [2]);
  assert.deepEqual(matching(" To", about), [0]);
  assert.deepEqual(matching("zebra", about), []);
  assert.equal(matching("  ", about), undefined);
});
