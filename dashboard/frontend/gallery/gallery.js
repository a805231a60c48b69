// Draws the tiles into the component's one element. Tiles stay in place from run to run and only what
// changed is touched: images do not flicker and the keyboard's focus is kept.

import { withSource } from "../image_source.js";

const part = (name, className, parent) => {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
};

const make = (pick) => {
  const tile = document.createElement(pick ? "button" : "figure");
  if (pick) tile.type = "button";
  const box = part("span", "box", tile);
  const image = part("img", "", box);
  image.loading = "lazy";
  image.decoding = "async";
  image.draggable = false;
  const frame = part("span", "frame", box);
  const rank = part("span", "rank", box);
  const dot = part("span", "dot", box);
  const detail = part("span", "detail", box);
  const about = part("span", "about", tile);
  const title = part("span", "title", about);
  const sign = part("span", "sign", title);
  sign.ariaHidden = "true";
  const name = part("span", "name", title);
  const words = part("span", "unseen", about);
  const lines = part("span", "lines", about);
  // On the box, since an image with another source is another element; what happens to an image does not bubble.
  box.addEventListener("load", () => placeFrame(tile), true);
  box.addEventListener("error", () => showImage(tile, tile.missing), true);
  tile.parts = { image, frame, rank, dot, detail, about, title, sign, name, words, lines };
  return tile;
};

const set = (element, property, value) => {
  if (element[property] !== value) element[property] = value;
};

// Where the frame of a region lies in the box, as CSS insets: the image is centered and as large as the box allows.
export const frameInsets = ([left, top, right, bottom], width, height) => {
  const longest = Math.max(width, height);
  const inset = (edge, size) => `${6 + 88 * ((1 - size / longest) / 2 + (edge * size) / longest)}%`;
  return {
    left: inset(left, width),
    top: inset(top, height),
    right: inset(1 - right, width),
    bottom: inset(1 - bottom, height),
  };
};

const placeFrame = (tile) => {
  const { image, frame } = tile.parts;
  set(frame, "hidden", !tile.region || !image.naturalWidth);
  if (!frame.hidden)
    Object.assign(frame.style, frameInsets(tile.region, image.naturalWidth, image.naturalHeight));
};

const showImage = (tile, source) => {
  tile.parts.image = withSource(tile.parts.image, source);
};

const setLines = (parent, lines) => {
  const text = JSON.stringify(lines);
  if (parent.dataset.text === text) return;
  parent.dataset.text = text;
  parent.replaceChildren();
  // What is too long for its place is cut off there, and whole in the tooltip.
  for (const line of lines) Object.assign(part("span", "line", parent), { textContent: line, title: line });
};

const fill = (tile, data, small) => {
  const { rank, dot, detail, about, sign, name, words, lines } = tile.parts;
  const mark = data.mark || {};
  set(
    tile,
    "className",
    `tile${mark.sign ? " marked" : ""}${mark.dashed ? " dashed" : ""}${small ? " small" : ""}${data.fills ? " fills" : ""}`,
  );
  tile.style.setProperty("--mark", mark.color || "currentColor");
  tile.dataset.id = data.id;
  if (data.selected) tile.setAttribute("aria-current", "true");
  else tile.removeAttribute("aria-current");
  tile.region = data.frame;
  showImage(tile, data.src);
  placeFrame(tile);
  set(tile.parts.image, "alt", data.alt);
  set(tile.parts.image, "title", data.alt);
  set(rank, "hidden", data.rank === null);
  set(rank, "textContent", data.rank === null ? "" : String(data.rank));
  set(about, "hidden", !data.title && data.lines.length === 0);
  set(sign, "hidden", !mark.sign);
  set(sign, "textContent", mark.sign || "");
  set(name, "textContent", data.title);
  set(name, "title", data.title);
  set(words, "textContent", [mark.words, data.dot].map((one) => (one ? `${one}.` : "")).join(" "));
  set(dot, "hidden", !data.dot);
  set(dot, "title", data.dot);
  set(detail, "hidden", data.detail.length === 0);
  setLines(detail, data.detail);
  setLines(lines, data.lines);
};

// Index of the tile that a key goes to; it may lie outside the gallery.
export const indexAfterKey = (key, index, count, perRow) =>
  ({
    ArrowLeft: index - 1,
    ArrowRight: index + 1,
    ArrowUp: index - perRow,
    ArrowDown: index + perRow,
    Home: 0,
    End: count - 1,
  })[key];

const moveFocus = (event, gallery) => {
  const tiles = [...gallery.children];
  const index = tiles.indexOf(event.target.closest(".tile"));
  if (index < 0) return;
  const perRow = getComputedStyle(gallery).gridTemplateColumns.split(" ").length;
  const next = tiles[indexAfterKey(event.key, index, tiles.length, perRow)];
  if (!next) return;
  event.preventDefault();
  next.focus();
};

// Columns for CSS grid: as many tiles as fit, each at least as wide as the style sheet says; at most `columns` unless that is 0.
export const gridColumns = (columns) => {
  const width = columns
    ? `max(var(--least), (100% - ${columns - 1} * var(--space)) / ${columns})`
    : "var(--least)";
  return `repeat(auto-fill, minmax(min(100%, ${width}), 1fr))`;
};

export default function ({ data, parentElement, setTriggerValue }) {
  const gallery = parentElement.querySelector(".gallery");
  gallery.setAttribute("aria-label", data.label);
  set(parentElement.querySelector("[role=status]"), "textContent", data.announce);
  gallery.style.setProperty("--wide", `${data.size}px`);
  gallery.style.setProperty("--narrow", `${data.narrow}px`);
  gallery.style.gridTemplateColumns = gridColumns(data.columns);
  while (gallery.children.length > data.tiles.length) gallery.lastChild.remove();
  data.tiles.forEach((tile, place) => {
    if (!gallery.children[place]) gallery.append(make(data.pick));
    gallery.children[place].missing = data.missing;
    fill(gallery.children[place], tile, data.size < 110);
  });
  gallery.onclick = (event) => {
    const tile = event.target.closest("button.tile");
    if (!tile) return;
    setTriggerValue("picked", Number(tile.dataset.id));
    if (!data.toTop) return;
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
    gallery.getRootNode().host?.closest('[data-testid="stMain"]')?.scrollTo({ top: 0, behavior });
  };
  gallery.onkeydown = (event) => moveFocus(event, gallery);
}
