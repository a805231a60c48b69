// What lies over the points while they rest: the names of classes, and images where few points are in view.

import { pixelOf } from "./view.js";

export const MOST_PICTURES = 60;
const MOST_LABELS = 40;
const FEW_LABELS = 15; // where more classes than that are in view: names of all would hide the points and still be few of them
const PICTURE = 44;
const LABEL = { letter: 7.6, most: 170, height: 18 };

// Rows of the points in view.
export const rowsInView = (now, styleOf, view, size) => {
  const found = [];
  for (let row = 0; row < styleOf.length; row += 1) {
    if (styleOf[row] < 0) continue;
    const [x, y] = pixelOf(view, size, now[2 * row], now[2 * row + 1]);
    if (x >= 0 && y >= 0 && x <= size.width && y <= size.height) found.push(row);
  }
  return found;
};

const median = (values) => values.sort()[values.length >> 1];

// The row of each class that is nearest to the middle of its points in view, with how many they are; most first.
export const middles = (rows, classOf, now) => {
  const members = new Map();
  for (const row of rows) {
    const code = classOf(row);
    if (members.has(code)) members.get(code).push(row);
    else members.set(code, [row]);
  }
  return [...members]
    .map(([code, own]) => {
      const x = median(Float64Array.from(own, (row) => now[2 * row]));
      const y = median(Float64Array.from(own, (row) => now[2 * row + 1]));
      const away = (row) => (now[2 * row] - x) ** 2 + (now[2 * row + 1] - y) ** 2;
      return { code, count: own.length, row: own.reduce((a, b) => (away(b) < away(a) ? b : a)) };
    })
    .sort((a, b) => b.count - a.count);
};

// Of places with names, those whose names do not lie over another or beyond the edge; the first have precedence.
export const withoutOverlap = (places, { width, height }) => {
  const most = places.length > MOST_LABELS ? FEW_LABELS : MOST_LABELS;
  const kept = [];
  for (const place of places) {
    const half = Math.min(LABEL.most, place.name.length * LABEL.letter + 10) / 2;
    const x = Math.min(width - half - 4, Math.max(half + 4, place.x));
    const y = Math.min(height - LABEL.height, Math.max(LABEL.height + 24, place.y));
    if (
      kept.every((other) => Math.abs(other.x - x) > other.half + half || Math.abs(other.y - y) > LABEL.height)
    )
      kept.push({ ...place, x, y, half });
    if (kept.length === most) break;
  }
  return kept;
};

const placed = (name, className, [x, y]) => {
  const element = document.createElement(name);
  element.className = className;
  element.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) translate(-50%, -50%)`;
  return element;
};

// Draws them into an element that the mouse goes through. `imageOf` gives the URL of a row's image and its color;
// `named` is how many of the classes, from the first, have their names drawn.
export const annotate = (layer, { now, styleOf, view, size, classes, classOf, imageOf, named }) => {
  const rows = rowsInView(now, styleOf, view, size);
  const at = (row) => pixelOf(view, size, now[2 * row], now[2 * row + 1]);
  const pictures = rows.length > MOST_PICTURES ? [] : rows;
  const groups = named ? middles(rows, classOf, now).filter(({ code }) => code < named) : [];
  const names = withoutOverlap(
    groups.map(({ code, row }) => {
      const [x, y] = at(row);
      return {
        name: classes[code].short,
        whole: classes[code].name,
        x,
        y: y - (pictures.length ? PICTURE / 2 + 12 : 20),
      };
    }),
    size,
  );
  layer.replaceChildren(
    ...pictures.map((row) => {
      const { source, color } = imageOf(row);
      const image = placed("img", "picture", at(row));
      Object.assign(image, { src: source, alt: "", decoding: "async" });
      image.style.borderColor = color;
      return image;
    }),
    ...names.map(({ name, whole, x, y }) =>
      Object.assign(placed("span", "class-name", [x, y]), { textContent: name, title: whole }),
    ),
  );
};
