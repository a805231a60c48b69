import assert from "node:assert/strict";
import test from "node:test";
import { allBut, glyphOf, largest, toggled } from "../../../dashboard/frontend/scatter/legend.js";

const STYLE = { color: "#123456", symbol: "star", symbol_3d: "square-open" };

test("symbols are filled, open ones have an outline", () => {
  const flat = glyphOf(STYLE, 2);
  assert.deepEqual([flat.fill, flat.stroke], ["#123456", "none"]);
  const open = glyphOf(STYLE, 3);
  assert.deepEqual([open.fill, open.stroke], ["none", "#123456"]);
  assert.equal(open.d, glyphOf({ ...STYLE, symbol: "square" }, 2).d);
});

test("an unknown symbol is a circle", () => {
  assert.equal(glyphOf({ ...STYLE, symbol: "rocket" }, 2).d, glyphOf({ ...STYLE, symbol: "circle" }, 2).d);
});

test("above forty classes only the largest are listed at first", () => {
  assert.deepEqual([...largest([1, 2])].sort(), [0, 1]);
  const counts = Array.from({ length: 100 }, (_, i) => i);
  assert.equal(largest(counts).size, 40);
  assert.ok(largest(counts).has(99) && !largest(counts).has(0));
});

test("a class is hidden, shown again or shown alone", () => {
  const hidden = toggled(new Set(), "cat");
  assert.deepEqual([...hidden], ["cat"]);
  assert.deepEqual([...toggled(hidden, "cat")], []);
  assert.deepEqual([...hidden], ["cat"]);
  const classes = [{ name: "cat" }, { name: "dog" }, { name: "owl" }];
  assert.deepEqual([...allBut(classes, "dog")], ["cat", "owl"]);
  assert.deepEqual([...allBut(classes, null)], []);
});
