// A picture with a frame around the region that is searched: draw a new frame, move it, or drag its corner;
// the arrow keys move it, with Shift they change its size.

const LEAST = 0.03;
const STEP = 0.02;
const [WIDEST, HIGHEST] = [320, 380];
const within = (value, low, high) => Math.min(high, Math.max(low, value));

const build = (root) => {
  root.innerHTML =
    '<div class="stage"><img draggable="false"><div class="shade"><button type="button" class="frame"><span class="grip"></span></button></div></div>';
  return root.firstChild;
};

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".region");
  const stage = root.firstChild ?? build(root);
  const [image, frame] = [stage.querySelector("img"), stage.querySelector(".frame")];
  // As wide as there is room for, unless that makes it too high.
  image.onload = () =>
    (image.style.width = `${Math.min(WIDEST, (HIGHEST * image.naturalWidth) / image.naturalHeight)}px`);
  if (image.getAttribute("src") !== data.src) image.src = data.src;
  image.alt = data.alt;
  frame.setAttribute(
    "aria-label",
    "Region that is searched: arrow keys move it, Shift and arrow keys change its size",
  );
  let box = [...data.box];
  const draw = () => {
    const [left, top, right, bottom] = box.map((share) => `${share * 100}%`);
    Object.assign(frame.style, {
      left,
      top,
      width: `calc(${right} - ${left})`,
      height: `calc(${bottom} - ${top})`,
    });
  };
  const tell = () =>
    setTriggerValue(
      "box",
      box.map((share) => Math.round(share * 1000) / 1000),
    );
  draw();

  const at = (event) => {
    const area = image.getBoundingClientRect();
    return [
      within((event.clientX - area.left) / area.width, 0, 1),
      within((event.clientY - area.top) / area.height, 0, 1),
    ];
  };
  const moved = (start, dx, dy) => {
    const x = within(dx, -start[0], 1 - start[2]);
    const y = within(dy, -start[1], 1 - start[3]);
    return [start[0] + x, start[1] + y, start[2] + x, start[3] + y];
  };
  const whole = () => box[2] - box[0] > 0.99 && box[3] - box[1] > 0.99;

  stage.onpointerdown = (event) => {
    event.preventDefault();
    frame.focus();
    stage.setPointerCapture(event.pointerId);
    const [x, y] = at(event);
    const start = [...box];
    const kind =
      event.target.className === "grip" ? "size" : event.target === frame && !whole() ? "move" : "draw";
    stage.onpointermove = (next) => {
      const [u, v] = at(next);
      if (kind === "move") box = moved(start, u - x, v - y);
      else if (kind === "size")
        box = [start[0], start[1], within(u, start[0] + LEAST, 1), within(v, start[1] + LEAST, 1)];
      else if (Math.abs(u - x) > LEAST && Math.abs(v - y) > LEAST)
        box = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
      draw();
    };
    stage.onpointerup = stage.onpointercancel = () => {
      stage.onpointermove = stage.onpointerup = stage.onpointercancel = null;
      if (box.some((share, i) => share !== start[i])) tell();
    };
  };
  frame.onkeydown = (event) => {
    const [dx, dy] =
      { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[
        event.key
      ] ?? [];
    if (dx === undefined) return;
    event.preventDefault();
    box = event.shiftKey
      ? [box[0], box[1], within(box[2] + dx, box[0] + LEAST, 1), within(box[3] + dy, box[1] + LEAST, 1)]
      : moved(box, dx, dy);
    draw();
    clearTimeout(frame.later);
    frame.later = setTimeout(tell, 400);
  };
}
