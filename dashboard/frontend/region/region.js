// An image with a frame around the region that is searched: draw a new frame, move it, or drag its corner;
// the arrow keys move it, with Shift they change its size. A box is left, top, right and bottom as shares of the image.

import { withSource } from "../image_source.js";

const LEAST = 0.03;
const STEP = 0.02;
const [WIDEST, HIGHEST] = [320, 380];
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export const moveBox = ([left, top, right, bottom], dx, dy) => {
  const x = clamp(dx, -left, 1 - right);
  const y = clamp(dy, -top, 1 - bottom);
  return [left + x, top + y, right + x, bottom + y];
};

export const resizeBox = ([left, top], right, bottom) => [
  left,
  top,
  clamp(right, left + LEAST, 1),
  clamp(bottom, top + LEAST, 1),
];

// The box between two points, undefined while it is too small.
export const boxBetween = ([x, y], [u, v]) =>
  Math.min(Math.abs(u - x), Math.abs(v - y)) > LEAST
    ? [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)]
    : undefined;

// The box after a key, undefined for a key that does nothing.
export const boxAfterKey = (box, key, shift) => {
  if (!Object.hasOwn(ARROWS, key)) return undefined;
  const [dx, dy] = ARROWS[key];
  return shift ? resizeBox(box, box[2] + dx, box[3] + dy) : moveBox(box, dx, dy);
};

const isWhole = ([left, top, right, bottom]) => right - left > 0.99 && bottom - top > 0.99;

const build = (root) => {
  root.innerHTML =
    '<div class="stage"><img draggable="false"><div class="shade"><button type="button" class="frame"><span class="grip"></span></button></div></div>';
  return root.firstChild;
};

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".region");
  const stage = root.firstChild ?? build(root);
  const image = withSource(stage.querySelector("img"), data.src);
  const frame = stage.querySelector(".frame");
  // As wide as there is room for, unless that makes it too high.
  image.onload = () => {
    const width = Math.min(WIDEST, (HIGHEST * image.naturalWidth) / image.naturalHeight);
    image.style.width = `${width}px`;
  };
  image.alt = data.alt;
  frame.setAttribute(
    "aria-label",
    "Region that is searched: arrow keys move it, Shift and arrow keys change its size",
  );
  let box = [...data.box];
  const show = () => {
    const [left, top, right, bottom] = box.map((share) => `${share * 100}%`);
    Object.assign(frame.style, {
      left,
      top,
      width: `calc(${right} - ${left})`,
      height: `calc(${bottom} - ${top})`,
    });
  };
  const report = () =>
    setTriggerValue(
      "box",
      box.map((share) => Math.round(share * 1000) / 1000),
    );
  show();

  const pointOf = (event) => {
    const area = image.getBoundingClientRect();
    const x = (event.clientX - area.left) / area.width;
    const y = (event.clientY - area.top) / area.height;
    return [clamp(x, 0, 1), clamp(y, 0, 1)];
  };

  stage.onpointerdown = (event) => {
    event.preventDefault();
    frame.focus();
    stage.setPointerCapture(event.pointerId);
    const from = pointOf(event);
    const start = box;
    const resizes = event.target.className === "grip";
    const moves = event.target === frame && !isWhole(box);
    stage.onpointermove = (next) => {
      const to = pointOf(next);
      if (resizes) box = resizeBox(start, ...to);
      else if (moves) box = moveBox(start, to[0] - from[0], to[1] - from[1]);
      else box = boxBetween(from, to) ?? box;
      show();
    };
    stage.onpointerup = stage.onpointercancel = () => {
      stage.onpointermove = stage.onpointerup = stage.onpointercancel = null;
      if (box.some((share, i) => share !== start[i])) report();
    };
  };
  frame.onkeydown = (event) => {
    const next = boxAfterKey(box, event.key, event.shiftKey);
    if (!next) return;
    event.preventDefault();
    box = next;
    show();
    clearTimeout(frame.later);
    frame.later = setTimeout(report, 400);
  };
}
