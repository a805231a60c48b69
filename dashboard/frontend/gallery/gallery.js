// Draws the tiles into the component's one element. Tiles stay in place from run to run and only what
// changed is touched: images do not flicker and the keyboard's focus is kept.

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
  image.onload = () => place(tile);
  image.onerror = () => {
    if (image.getAttribute("src") !== tile.missing) image.setAttribute("src", tile.missing);
  };
  const rank = part("span", "rank", box);
  const about = part("span", "about", tile);
  const title = part("span", "title", about);
  const sign = part("span", "sign", title);
  sign.ariaHidden = "true";
  const name = part("span", "name", title);
  const words = part("span", "unseen", about);
  const lines = part("span", "lines", about);
  tile.parts = { image, frame, rank, about, title, sign, name, words, lines };
  return tile;
};

const set = (element, property, value) => {
  if (element[property] !== value) element[property] = value;
};

// The picture is drawn as large as its box allows, so where its region lies hangs on its shape.
const place = (tile) => {
  const { image, frame } = tile.parts;
  const region = tile.region;
  set(frame, "hidden", !region || !image.naturalWidth);
  if (frame.hidden) return;
  const longest = Math.max(image.naturalWidth, image.naturalHeight);
  const size = [image.naturalWidth / longest, image.naturalHeight / longest];
  const at = (edge, axis) => `${6 + 88 * ((1 - size[axis]) / 2 + edge * size[axis])}%`;
  const [left, top, right, bottom] = region;
  Object.assign(frame.style, {
    left: at(left, 0),
    top: at(top, 1),
    right: at(1 - right, 0),
    bottom: at(1 - bottom, 1),
  });
};

const fill = (tile, data, small) => {
  const { image, rank, about, sign, name, words, lines } = tile.parts;
  const mark = data.mark || {};
  set(
    tile,
    "className",
    `tile${mark.sign ? " marked" : ""}${mark.dashed ? " dashed" : ""}${small ? " small" : ""}`,
  );
  tile.style.setProperty("--mark", mark.color || "currentColor");
  tile.dataset.id = data.id;
  if (data.selected) tile.setAttribute("aria-current", "true");
  else tile.removeAttribute("aria-current");
  tile.region = data.frame;
  if (image.getAttribute("src") !== data.src) image.setAttribute("src", data.src);
  place(tile);
  set(image, "alt", data.alt);
  set(image, "title", data.alt);
  set(rank, "hidden", data.rank === null);
  set(rank, "textContent", data.rank === null ? "" : String(data.rank));
  set(about, "hidden", !data.title && data.lines.length === 0);
  set(sign, "hidden", !mark.sign);
  set(sign, "textContent", mark.sign || "");
  set(name, "textContent", data.title);
  set(words, "textContent", mark.words ? `${mark.words}.` : "");
  const text = JSON.stringify(data.lines);
  if (lines.dataset.text !== text) {
    lines.dataset.text = text;
    lines.replaceChildren();
    for (const line of data.lines) part("span", "line", lines).textContent = line;
  }
};

// Arrow keys, Home and End walk through the tiles; Tab does too.
const walk = (event, gallery) => {
  const tiles = [...gallery.children];
  const here = tiles.indexOf(event.target.closest(".tile"));
  if (here < 0) return;
  const perRow = getComputedStyle(gallery).gridTemplateColumns.split(" ").length;
  const step = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -perRow,
    ArrowDown: perRow,
    Home: -here,
    End: tiles.length - 1 - here,
  };
  const next = tiles[here + step[event.key]];
  if (!next) return;
  event.preventDefault();
  next.focus();
};

export default function ({ data, parentElement, setTriggerValue }) {
  const gallery = parentElement.querySelector(".gallery");
  gallery.setAttribute("aria-label", data.label);
  set(parentElement.querySelector("[role=status]"), "textContent", data.announce);
  const width = data.columns
    ? `max(${data.size}px, (100% - ${data.columns - 1} * 0.75rem) / ${data.columns})`
    : `${data.size}px`;
  gallery.style.gridTemplateColumns = `repeat(auto-fill, minmax(min(100%, ${width}), 1fr))`;
  gallery.style.gap = data.size < 110 ? "0.5rem" : "0.75rem";
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
  gallery.onkeydown = (event) => walk(event, gallery);
}
