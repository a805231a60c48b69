// What Plotly draws, from plain data: a trace per style of points, two of lines to neighbors, one of rings.

export const MANY = 2500; // points from which on they are small and drawn as simply as can be
export const CAMERA = { eye: { x: 0.95, y: 0.95, z: 0.5 }, center: { x: 0, y: 0, z: -0.05 } };
export const FAINT = 0.15; // opacity of points that are neither selected nor found
const MARGIN = 0.06; // around the points in 3-D, as a share of their extent
// Plotly draws some 3-D symbols larger than others of the same size.
const SCALE_3D = { x: 0.55, cross: 0.8 };

export const isLight = (color) => Number.parseInt(color.slice(1, 3), 16) > 127;

export const pointSize = (count, dimensions) => {
  const size = count <= 400 ? 9 : count <= MANY ? 7 : count <= 20_000 ? 5 : 4;
  return dimensions === 3 ? size * 0.6 : size;
};

export const opacityOf = (count) => (count > MANY ? 0.75 : 0.9);

export const ringSize = (scale, count, dimensions) =>
  scale * (pointSize(count, dimensions) + (dimensions === 2 ? 7 : 5));

// Moving the view and selecting in 2-D is not left to Plotly, which would go through all points in every frame.
export const plotlyTool = (dimensions, tool) => (dimensions === 2 && tool !== "zoom" ? false : tool);

// Coordinates of some rows by axis; a row of -1 leaves a gap. In 3-D they fill the cube from -1 to 1 with the box around them.
export const columns = (coordinates, dimensions, rows, box) => {
  const half = dimensions === 3 ? Math.max(1e-6, ...box.map(([low, high]) => (high - low) / 2)) : 1;
  const column = (axis) => {
    const middle = dimensions === 3 ? (box[axis][0] + box[axis][1]) / 2 : 0;
    return Float32Array.from(rows, (row) =>
      row < 0 ? Number.NaN : (coordinates[row * dimensions + axis] - middle) / half,
    );
  };
  return Object.fromEntries(["x", "y", "z"].slice(0, dimensions).map((name, axis) => [name, column(axis)]));
};

// Rows of each style; a row whose style is below zero is not shown.
export const rowsByStyle = (styleOf, count) => {
  const rows = Array.from({ length: count }, () => []);
  for (const [row, style] of styleOf.entries()) if (style >= 0) rows[style].push(row);
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

// A color as if most of the background shone through, both as "#rrggbb": Plotly has one opacity for all points of a 3-D trace.
export const faded = (color, background) => {
  const parts = (hex) => [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16));
  const behind = parts(background);
  const mixed = parts(color).map((part, i) => Math.round(FAINT * part + (1 - FAINT) * behind[i]));
  return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
};

// Which rows each trace shows, in the order of the traces.
export const rowsOfTraces = (members, around) => [...members, around.same, around.other, around.rings];

export const tracesOf = ({ styles, marks, points, now, box, members, around, bright, background }) => {
  const { ids, dimensions } = points;
  const flat = dimensions === 2;
  const size = pointSize(ids.length, dimensions);
  const trace = (mode, rows, rest) => ({
    type: flat ? "scattergl" : "scatter3d",
    mode,
    ...columns(now, dimensions, rows, box),
    ...rest,
  });
  const chosen = (rows) => rows.flatMap((row, i) => (bright[row] ? [i] : []));
  const colorsOf = (color, rows) => {
    const other = faded(color, background);
    return rows.map((row) => (bright[row] ? color : other));
  };
  return [
    ...styles.map((style, i) =>
      trace("markers", members[i], {
        name: style.name,
        visible: members[i].length > 0,
        hoverinfo: "none",
        marker: {
          size: flat ? size : size * (SCALE_3D[style.symbol_3d] ?? 1),
          color: flat || !bright ? style.color : colorsOf(style.color, members[i]),
          symbol: flat ? style.symbol : style.symbol_3d,
          // Plotly draws 3-D markers that let others through in pieces.
          opacity: flat ? opacityOf(ids.length) : 1,
          line: { width: 0 },
        },
        ...(flat && {
          selectedpoints: bright ? chosen(members[i]) : null,
          selected: { marker: { opacity: 1 } },
          unselected: { marker: { opacity: FAINT } },
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
        size: around.scales.map((scale) => ringSize(scale, ids.length, dimensions)),
        color: around.colors,
        symbol: "circle-open",
        line: { width: 2.5, color: around.colors },
      },
      ...(flat && { selectedpoints: null }),
    }),
  ];
};

const flatAxes = ([x, y]) => {
  const axis = { visible: false, fixedrange: false };
  return { xaxis: { ...axis, range: x }, yaxis: { ...axis, range: y } };
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

// Plotly keeps the reader's view in 3-D while `turning` stays the same. In 2-D `ranges` are what is shown.
export const layoutOf = ({ dimensions, size, ranges, colors, tool, turning }) => ({
  ...size,
  margin: { l: 0, r: 0, t: 0, b: 0 },
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  showlegend: false,
  hovermode: "closest",
  hoverdistance: 12,
  uirevision: turning,
  dragmode: plotlyTool(dimensions, tool),
  font: { color: colors.text, family: colors.font },
  ...(dimensions === 2 ? flatAxes(ranges) : deepAxes(colors.background, tool)),
});
