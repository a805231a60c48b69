// A row of radio buttons, one for each layer. The mark moves at once; the server gets the layer at which it comes to rest,
// so that a key that is held down costs one run.

const REST_MS = 200;

// Index of the layer that a key goes to; those at the ends stay.
export const layerAfterKey = (key, index, count) => {
  const wanted = {
    ArrowLeft: index - 1,
    ArrowDown: index - 1,
    ArrowRight: index + 1,
    ArrowUp: index + 1,
    Home: 0,
    End: count - 1,
  }[key];
  return wanted === undefined ? undefined : Math.min(count - 1, Math.max(0, wanted));
};

// Height of each bar, as a share of the highest.
export const barHeights = (scores) => {
  const most = Math.max(1, ...scores.map((score) => score ?? 0));
  return scores.map((score) => (score ?? 0) / most);
};

const makeLayer = () => {
  const radio = document.createElement("button");
  radio.type = "button";
  radio.setAttribute("role", "radio");
  for (const name of ["depth", "bar", "score"]) {
    const part = document.createElement("span");
    part.className = name;
    radio.append(part);
  }
  return radio;
};

// Index of the layer that Tab goes to: the one that is shown, or the first where another one than these is.
export const tabStop = (names, shown) => Math.max(0, names.indexOf(shown));

const mark = (row, name) => {
  const radios = [...row.children];
  const stop = tabStop(
    radios.map(({ value }) => value),
    name,
  );
  for (const [i, radio] of radios.entries()) {
    radio.setAttribute("aria-checked", radio.value === name);
    radio.tabIndex = i === stop ? 0 : -1;
  }
};

const drawLayers = (row, layers) => {
  while (row.children.length > layers.length) row.lastChild.remove();
  while (row.children.length < layers.length) row.append(makeLayer());
  const heights = barHeights(layers.map(({ score }) => score));
  for (const [i, { name, depth, about, score }] of layers.entries()) {
    const radio = row.children[i];
    const [number, bar, figure] = radio.children;
    const known = score !== null;
    radio.value = name;
    radio.title = known ? `${about} · mean score ${score.toFixed(1)}` : about;
    radio.setAttribute("aria-label", radio.title);
    number.textContent = depth;
    bar.style.setProperty("--share", heights[i].toFixed(3));
    figure.textContent = known ? score.toFixed(0) : "–";
  }
};

export default function ({ data, parentElement, setTriggerValue }) {
  const row = parentElement.querySelector(".layers");
  row.setAttribute("aria-label", data.label);
  drawLayers(row, data.layers);
  // A layer that is on its way to the server stays marked.
  if (!row.waiting) mark(row, data.shown);
  const choose = (radio, delay) => {
    mark(row, radio.value);
    clearTimeout(row.waiting);
    row.waiting = setTimeout(() => {
      row.waiting = undefined;
      setTriggerValue("layer", radio.value);
    }, delay);
  };
  row.onclick = (event) => {
    const radio = event.target.closest("button");
    if (radio && radio.getAttribute("aria-checked") !== "true") choose(radio, 0);
  };
  row.onkeydown = (event) => {
    const index = [...row.children].indexOf(event.target.closest("button"));
    const next = row.children[layerAfterKey(event.key, index, row.children.length)];
    if (index < 0 || !next) return;
    event.preventDefault();
    next.focus();
    if (next !== row.children[index]) choose(next, REST_MS);
  };
}
