// What Plotly draws, from plain data: a trace per class, two of lines to neighbors, one of rings.

export const MANY = 2500; // points from which on they are small and drawn as simply as can be
export const CAMERA = { eye: { x: 1.1, y: 1.1, z: 0.7 }, center: { x: 0, y: 0, z: -0.1 } };
const MARGIN = 0.06; // around the points, as a share of their extent
// Plotly draws some 3-D symbols larger than others of the same size.
const SCALE_3D = { x: 0.55, cross: 0.8 };

export const isLight = (color) => Number.parseInt(color.slice(1, 3), 16) > 127;

export const pointSize = (count, dimensions) => {
  const size = count <= 400 ? 9 : count <= MANY ? 7 : 5;
  return dimensions === 3 ? size * 0.6 : size;
};

// Coordinates of some rows by axis; a row of -1 leaves a gap.
export const columns = (coordinates, dimensions, rows, Kind = Float32Array) => {
  const column = (axis) =>
    Kind.from(rows, (row) => (row < 0 ? Number.NaN : coordinates[row * dimensions + axis]));
  return Object.fromEntries(["x", "y", "z"].slice(0, dimensions).map((name, axis) => [name, column(axis)]));
};

// Rows of each class; an item whose label no class has is not shown.
export const rowsByClass = (ids, labels, count) => {
  const rows = Array.from({ length: count }, () => []);
  for (const [row, id] of ids.entries()) rows[labels[id]]?.push(row);
  return rows;
};

// The picked point and its neighbors: rows at both ends of each line with a gap after it, and rings.
export const highlight = (picked, links, marks, rowOf, color) => {
  const start = rowOf.get(picked);
  if (start === undefined) return { same: [], other: [], rings: [], colors: [], scales: [] };
  const drawn = links.filter(({ id }) => rowOf.has(id));
  const lines = (same) =>
    drawn.filter((link) => link.same === same).flatMap(({ id }) => [start, rowOf.get(id), -1]);
  const rings = [...drawn.map(({ id }) => rowOf.get(id)), start];
  return {
    same: lines(true),
    other: lines(false),
    rings,
    colors: [...drawn.map(({ same }) => marks[same ? "same" : "other"].color), color],
    scales: rings.map((row) => (row === start ? 1.5 : 1)),
  };
};

// Which rows each trace shows, in the order of the traces.
export const rowsOfTraces = (members, around) => [...members, around.same, around.other, around.rings];

export const tracesOf = ({ classes, marks, points, now, members, around, hidden, selected }) => {
  const { ids, dimensions } = points;
  const flat = dimensions === 2;
  const size = pointSize(ids.length, dimensions);
  const trace = (mode, rows, rest) => ({
    type: flat ? "scattergl" : "scatter3d",
    mode,
    ...columns(now, dimensions, rows),
    ...rest,
  });
  const chosen = (rows) => rows.flatMap((row, i) => (selected.has(ids[row]) ? [i] : []));
  return [
    ...classes.map((style, i) =>
      trace("markers", members[i], {
        name: style.name,
        visible: !hidden.has(style.name),
        hoverinfo: "none",
        marker: {
          size: flat ? size : size * (SCALE_3D[style.symbol_3d] ?? 1),
          color: style.color,
          symbol: flat ? style.symbol : style.symbol_3d,
          opacity: ids.length > MANY ? 0.75 : 0.9,
          line: { width: 0 },
        },
        ...(flat && {
          selectedpoints: selected.size ? chosen(members[i]) : null,
          selected: { marker: { opacity: 1 } },
          unselected: { marker: { opacity: 0.15 } },
        }),
      }),
    ),
    ...["same", "other"].map((kind) =>
      trace("lines", around[kind], {
        hoverinfo: "skip",
        line: { color: marks[kind].color, width: flat ? 2 : 4, dash: marks[kind].dashed ? "dash" : "solid" },
      }),
    ),
    trace("markers", around.rings, {
      hoverinfo: "skip",
      marker: {
        size: around.scales.map((scale) => scale * (size + (flat ? 7 : 5))),
        color: around.colors,
        symbol: "circle-open",
        line: { width: 2.5, color: around.colors },
      },
      ...(flat && { selectedpoints: null }),
    }),
  ];
};

// Ranges that hold the points of every layer, with a margin around them.
export const viewRanges = (bounds) => {
  const margin = MARGIN * Math.max(0.1, ...bounds.map(([low, high]) => high - low));
  return bounds.map(([low, high]) => [low - margin, high + margin]);
};

const flatAxes = (bounds, primary) => {
  const axis = { visible: false, fixedrange: false };
  const [x, y] = viewRanges(bounds);
  return {
    xaxis: { ...axis, range: x },
    yaxis: { ...axis, range: y, scaleanchor: "x" },
    newselection: { line: { color: primary, width: 2, dash: "dot" } },
    selections: [],
  };
};

const deepAxes = (background, dragmode) => {
  // Plotly draws 3-D lines without transparency, which the theme's border color has.
  const faint = isLight(background) ? "#d3d8de" : "#3d4652";
  const axis = {
    range: [-1 - MARGIN, 1 + MARGIN],
    title: { text: "" },
    showticklabels: false,
    showspikes: false,
    showbackground: false,
    zeroline: false,
    gridcolor: faint,
    linecolor: faint,
  };
  return { scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "cube", camera: CAMERA, dragmode } };
};

// Plotly keeps the reader's view while `view` stays the same, and the outline of a selection while `turn` does.
export const layoutOf = ({ points, colors, tool, view, turn }) => ({
  margin: { l: 0, r: 0, t: 0, b: 0 },
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  showlegend: false,
  hovermode: "closest",
  hoverdistance: 12,
  uirevision: view,
  selectionrevision: turn,
  dragmode: tool,
  font: { color: colors.text, family: colors.font },
  ...(points.dimensions === 2 ? flatAxes(points.bounds, colors.primary) : deepAxes(colors.background, tool)),
});
