// Wheel, pinch, dragging and keys over the chart in 2-D, as changes of the view. Plotly knows neither pinch nor keys.

import { extended } from "./outline.js";
import { wheelFactor } from "./view.js";

const STEP = 60; // pixels of an arrow key
const ZOOM = 1.35; // of a key or a button
const STILL = 3; // pixels that a click may move

const KEYS = {
  "+": ({ zoom }) => zoom(undefined, ZOOM),
  "=": ({ zoom }) => zoom(undefined, ZOOM),
  "-": ({ zoom }) => zoom(undefined, 1 / ZOOM),
  0: ({ reset }) => reset(),
  ArrowLeft: ({ pan }) => pan(STEP, 0),
  ArrowRight: ({ pan }) => pan(-STEP, 0),
  ArrowUp: ({ pan }) => pan(0, STEP),
  ArrowDown: ({ pan }) => pan(0, -STEP),
};

// The middle of two pointers and how far apart they are.
export const span = ([[x, y], [u, v]]) => ({
  x: (x + u) / 2,
  y: (y + v) / 2,
  apart: Math.hypot(u - x, v - y),
});

// `act` has zoom(point, factor), pan(dx, dy) and reset(), and says with flat() whether this is 2-D and with tool() what dragging does: "pan"
// moves the view, "lasso" and "select" draw an outline. It gets that with outline(points), empty at the end, and enclose(points, more).
export const listen = (stage, act) => {
  const pointers = new Map();
  let dragging = false;
  let outline = [];
  const draws = () => ["lasso", "select"].includes(act.tool());
  const local = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const pinching = () => pointers.size === 2;

  stage.addEventListener(
    "wheel",
    (event) => {
      if (!act.flat()) return;
      event.preventDefault();
      event.stopPropagation();
      act.zoom(local(event), wheelFactor(event));
    },
    { passive: false, capture: true },
  );
  const drop = () => {
    if (outline.length) act.outline([]);
    outline = [];
  };
  // On the window, since Plotly covers the page while something is dragged: a second finger meets the cover.
  const down = (event) => {
    dragging = false;
    if (!act.flat() || event.button) return;
    const [x, y] = local(event);
    const within = x >= 0 && y >= 0 && x <= stage.clientWidth && y <= stage.clientHeight;
    if (!stage.contains(event.target) && !(pointers.size && within)) return;
    if (pointers.size < 2) pointers.set(event.pointerId, [x, y]);
    drop();
    if (draws() && !pinching()) outline = [[x, y]];
  };
  const move = (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = local(event);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    if (pinching()) {
      const was = span([...pointers.values()]);
      pointers.set(event.pointerId, now);
      const is = span([...pointers.values()]);
      act.pan(is.x - was.x, is.y - was.y);
      if (was.apart > 1) act.zoom([is.x, is.y], is.apart / was.apart);
      return;
    }
    dragging ||= Math.hypot(dx, dy) > STILL;
    if (!dragging) return;
    pointers.set(event.pointerId, now);
    if (outline.length) {
      outline = extended(outline, act.tool(), now);
      act.outline(outline);
    } else if (act.tool() === "pan") act.pan(dx, dy);
  };
  const up = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    const drawn = outline;
    drop();
    if (dragging && drawn.length > 2 && event.type === "pointerup") act.enclose(drawn, event.shiftKey);
  };
  // What two fingers do is none of Plotly's tools.
  const shield = (event) => pinching() && event.stopPropagation();
  window.addEventListener("pointerdown", down, true);
  window.addEventListener("pointermove", move, true);
  window.addEventListener("pointerup", up, true);
  window.addEventListener("pointercancel", up, true);
  window.addEventListener("touchmove", shield, true);
  stage.addEventListener("keydown", (event) => {
    if (event.key === "Escape") drop();
    if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key](act);
  });
  return {
    pinching,
    zoom: (direction) => act.zoom(undefined, ZOOM ** direction),
    // Whether the last press has moved: what ends near where it began is no click.
    dragged: () => dragging,
    held: () => pointers.size > 0 && (pinching() || dragging),
    close: () => {
      window.removeEventListener("pointerdown", down, true);
      window.removeEventListener("pointermove", move, true);
      window.removeEventListener("pointerup", up, true);
      window.removeEventListener("pointercancel", up, true);
      window.removeEventListener("touchmove", shield, true);
    },
  };
};
