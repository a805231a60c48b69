import assert from "node:assert/strict";
import test from "node:test";
import {
  columns,
  highlight,
  isLight,
  layoutOf,
  pointSize,
  rowsByClass,
  rowsOfTraces,
  tracesOf,
  viewRanges,
} from "../../../dashboard/frontend/scatter/chart.js";

const MARKS = { same: { color: "#070", dashed: false }, other: { color: "#b40", dashed: true } };
const CLASSES = [
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
  const members = rowsByClass(IDS, { 5: 0, 6: 1, 7: 0 }, 2);
  const links = [
    { id: 6, same: false },
    { id: 7, same: true },
  ];
  return tracesOf({
    classes: CLASSES,
    marks: MARKS,
    points: { ids: IDS, dimensions },
    now: Float32Array.from({ length: 3 * dimensions }, (_, i) => i),
    members,
    around: highlight(5, links, MARKS, ROW_OF, "#000"),
    hidden: new Set(),
    selected: new Set(),
    ...changes,
  });
};

test("columns are coordinates by axis with gaps", () => {
  const { x, y, z } = columns([0, 1, 2, 3], 2, [1, -1, 0]);
  assert.deepEqual([...x], [2, Number.NaN, 0]);
  assert.deepEqual([...y], [3, Number.NaN, 1]);
  assert.equal(z, undefined);
  assert.deepEqual([...columns([0, 1, 2, 3, 4, 5], 3, [1], Float64Array).z], [5]);
});

test("points are grouped by class, those of no known class are left out", () => {
  assert.deepEqual(rowsByClass(IDS, { 5: 1, 6: 9, 7: 1 }, 2), [[], [0, 2]]);
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

test("there is a trace for each class, two for lines and one for rings", () => {
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

test("hidden classes are not visible and others than selected points are faint", () => {
  const [cat, dog] = chart(2, { hidden: new Set(["dog"]), selected: new Set([7]) });
  assert.deepEqual([cat.visible, dog.visible], [true, false]);
  assert.deepEqual([cat.selectedpoints, dog.selectedpoints], [[1], []]);
  assert.equal(chart(2)[0].selectedpoints, null);
});

test("3-D traces have their own symbols and no selection", () => {
  const [cat, dog] = chart(3);
  assert.equal(cat.type, "scatter3d");
  assert.deepEqual([...cat.z], [2, 8]);
  assert.deepEqual([cat.marker.symbol, dog.marker.symbol], ["x", "square-open"]);
  assert.ok(cat.marker.size < dog.marker.size);
  assert.ok(!("selectedpoints" in cat));
});

test("more points are smaller", () => {
  assert.deepEqual(
    [100, 1000, 10_000].map((count) => pointSize(count, 2)),
    [9, 7, 5],
  );
  assert.ok(pointSize(100, 3) < 9);
});

test("the view holds all points with a margin, also when all are at one place", () => {
  assert.deepEqual(
    viewRanges([
      [-1, 1],
      [0, 1],
    ]),
    [
      [-1.12, 1.12],
      [-0.12, 1.12],
    ],
  );
  const [[low, high]] = viewRanges([[0, 0]]);
  assert.ok(low < 0 && high > 0);
});

test("the layout has flat axes or a scene", () => {
  const about = { colors: COLORS, tool: "lasso", view: "v", turn: 3 };
  const flat = layoutOf({
    points: {
      dimensions: 2,
      bounds: [
        [-1, 1],
        [0, 1],
      ],
    },
    ...about,
  });
  assert.equal(flat.yaxis.scaleanchor, "x");
  assert.equal(flat.uirevision, "v");
  const deep = layoutOf({ points: { dimensions: 3 }, ...about, tool: "turntable" });
  assert.equal(deep.scene.dragmode, "turntable");
  assert.deepEqual(deep.scene.zaxis.range, [-1.06, 1.06]);
});

test("colors are light or dark", () => {
  assert.deepEqual(["#ffffff", "#808080", "#0e1117"].map(isLight), [true, true, false]);
});
