import assert from "node:assert/strict";
import test from "node:test";
import {
  columns,
  faded,
  highlight,
  isLight,
  layoutOf,
  plotlyTool,
  pointSize,
  rowsByStyle,
  rowsOfTraces,
  tracesOf,
} from "../../../dashboard/frontend/scatter/chart.js";

const MARKS = { same: { color: "#070", dashed: false }, other: { color: "#b40", dashed: true } };
const STYLES = [
  { name: "cat", color: "#123456", symbol: "circle", symbol_3d: "x" },
  { name: "dog", color: "#654321", symbol: "square", symbol_3d: "square-open" },
];
const IDS = Uint32Array.of(5, 6, 7);
const ROW_OF = new Map([
  [5, 0],
  [6, 1],
  [7, 2],
]);
const COLORS = { text: "#111", background: "#ffffff", primary: "#f00", font: "serif" };

const chart = (dimensions, changes = {}) => {
  const members = rowsByStyle(Int16Array.of(0, 1, 0), 2);
  const links = [
    { id: 6, same: false },
    { id: 7, same: true },
  ];
  return tracesOf({
    styles: STYLES,
    marks: MARKS,
    points: { ids: IDS, dimensions },
    now: Float32Array.from({ length: 3 * dimensions }, (_, i) => i),
    box: Array.from({ length: dimensions }, (_, axis) => [axis, axis + 2 * dimensions]),
    members,
    around: highlight(5, links, MARKS, ROW_OF, "#000"),
    ...changes,
  });
};

test("columns are coordinates by axis with gaps", () => {
  const { x, y, z } = columns([0, 1, 2, 3], 2, [1, -1, 0]);
  assert.deepEqual([...x], [2, Number.NaN, 0]);
  assert.deepEqual([...y], [3, Number.NaN, 1]);
  assert.equal(z, undefined);
});

test("in 3-D the box around the points fills the cube", () => {
  const box = [
    [0, 4],
    [0, 2],
    [1, 2],
  ];
  const { x, y, z } = columns([0, 0, 1, 4, 2, 2], 3, [0, 1], box);
  assert.deepEqual(
    [x, y, z].map((column) => [...column]),
    [
      [-1, 1],
      [-0.5, 0.5],
      [-0.25, 0.25],
    ],
  );
});

test("points are grouped by style, those of none are left out", () => {
  assert.deepEqual(rowsByStyle(Int16Array.of(1, -1, 1), 2), [[], [0, 2]]);
});

test("the picked point has lines and rings to the neighbors that are shown", () => {
  const links = [
    { id: 6, same: false },
    { id: 7, same: true },
    { id: 99, same: true },
  ];
  assert.deepEqual(highlight(5, links, MARKS, ROW_OF, "#000"), {
    same: [0, 2, -1],
    other: [0, 1, -1],
    rings: [1, 2, 0],
    colors: ["#b40", "#070", "#000"],
    scales: [1, 1, 1.5],
  });
});

test("nothing is highlighted when the picked item is not shown", () => {
  for (const picked of [null, 99])
    assert.deepEqual(highlight(picked, [{ id: 6, same: true }], MARKS, ROW_OF, "#000").rings, []);
});

test("there is a trace for each style, two for lines and one for rings", () => {
  const traces = chart(2);
  assert.deepEqual(
    traces.map(({ mode }) => mode),
    ["markers", "markers", "lines", "lines", "markers"],
  );
  assert.ok(traces.every(({ type }) => type === "scattergl"));
  const around = highlight(5, [], MARKS, ROW_OF, "#000");
  assert.deepEqual(rowsOfTraces([[0, 2], [1]], around), [[0, 2], [1], [], [], [0]]);
  assert.deepEqual([...traces[0].x], [0, 4]);
  assert.deepEqual(
    traces.slice(2, 4).map(({ line }) => line.dash),
    ["solid", "dash"],
  );
});

test("styles without rows are not visible and others than bright points are faint", () => {
  const [cat, dog] = chart(2, { members: [[0, 2], []], bright: Uint8Array.of(0, 0, 1) });
  assert.deepEqual([cat.visible, dog.visible], [true, false]);
  assert.deepEqual([cat.selectedpoints, dog.selectedpoints], [[1], []]);
  assert.equal(chart(2)[0].selectedpoints, null);
});

test("3-D traces have their own symbols and no selection", () => {
  const [cat, dog] = chart(3);
  assert.equal(cat.type, "scatter3d");
  assert.deepEqual([...cat.z], [-1, 1]);
  assert.deepEqual([cat.marker.symbol, dog.marker.symbol], ["x", "square-open"]);
  assert.ok(cat.marker.size < dog.marker.size);
  assert.ok(!("selectedpoints" in cat));
});

test("in 3-D, others than bright points have nearly the color of the background", () => {
  const bright = Uint8Array.of(0, 0, 1);
  const [cat, dog] = chart(3, { bright, background: "#ffffff" });
  assert.deepEqual(cat.marker.color, ["#dbe1e6", "#123456"]);
  assert.deepEqual(dog.marker.color, ["#e8e3de"]);
  assert.equal(faded("#ffffff", "#000000"), "#262626");
  assert.equal(chart(3)[0].marker.color, "#123456");
});

test("more points are smaller", () => {
  assert.deepEqual(
    [100, 1000, 10_000, 100_000].map((count) => pointSize(count, 2)),
    [9, 7, 5, 4],
  );
  assert.ok(pointSize(100, 3) < 9);
});

test("the layout has flat axes with the ranges that are shown, or a scene", () => {
  const about = { size: { width: 4, height: 3 }, colors: COLORS, turning: "v" };
  const ranges = [
    [-1, 1],
    [0, 1],
  ];
  const flat = layoutOf({ dimensions: 2, ranges, tool: "zoom", ...about });
  assert.deepEqual([flat.xaxis.range, flat.yaxis.range], ranges);
  assert.deepEqual([flat.width, flat.height, flat.dragmode], [4, 3, "zoom"]);
  const deep = layoutOf({ dimensions: 3, tool: "turntable", ...about });
  assert.deepEqual([deep.scene.dragmode, deep.uirevision], ["turntable", "v"]);
  assert.deepEqual(deep.scene.zaxis.range, [-1.06, 1.06]);
});

test("moving the view and selecting are left to Plotly in 3-D only", () => {
  const tools = [plotlyTool(2, "pan"), plotlyTool(3, "pan"), plotlyTool(2, "lasso"), plotlyTool(2, "zoom")];
  assert.deepEqual(tools, [false, "pan", false, "zoom"]);
});

test("colors are light or dark", () => {
  assert.deepEqual(["#ffffff", "#808080", "#0e1117"].map(isLight), [true, true, false]);
});
