// Draws the points with Plotly and moves them from layer to layer. All between two layers happens here:
// the server gets the layer at which the points have come to rest.

import { withSource } from "../image_source.js";
import { cardPosition, describeItem } from "./card.js";
import {
  CAMERA,
  columns,
  highlight,
  isLight,
  layoutOf,
  MANY,
  rowsByClass,
  rowsOfTraces,
  tracesOf,
  viewRanges,
} from "./chart.js";
import { DepthChart } from "./depth_chart.js";
import { button } from "./elements.js";
import { allBut, drawLegend, markHidden, toggled } from "./legend.js";
import { fetchOnce, loadPlotly } from "./load.js";
import { clockAt, ease, interpolate, JUMP_MS, positionAt } from "./motion.js";
import { decodeAbout, decodePoints, pack, unpack } from "./points.js";

const REPORT_MS = 250; // rest at a layer before the server gets it
const NEAR = 0.001; // positions closer than this are the same
const TOOLS = {
  2: { lasso: "Lasso", select: "Box", pan: "Pan", zoom: "Zoom" },
  3: { turntable: "Turn", pan: "Pan", zoom: "Zoom" },
};

const prefersStill = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

const shownScore = (value) => value?.toFixed(2).replace("-", "−") ?? "–";

class Scatter {
  constructor(root) {
    this.root = root;
    this.parts = {};
    for (const part of root.querySelectorAll("[class]")) this.parts[part.getAttribute("class")] = part;
    this.chart = new DepthChart(this.parts["depth-chart"], (layer) => this.choose(layer));
    this.hidden = new Set();
    this.selected = new Set();
    this.turn = 0;
    this.drawing = 0;
    this.position = 0;
    this.playing = false;
    this.tool = { 2: "lasso", 3: "turntable" };
    this.listen();
  }

  listen() {
    const { back, play, forward, slider, reset, stage } = this.parts;
    back.onclick = () => this.choose(Math.ceil(this.position - NEAR) - 1);
    forward.onclick = () => this.choose(Math.floor(this.position + NEAR) + 1);
    play.onclick = () => (this.playing ? this.pause() : this.play());
    slider.oninput = () => this.choose(Number(slider.value));
    reset.onclick = () => this.resetView();
    stage.addEventListener("mousemove", (event) => this.trackMouse(event));
    stage.addEventListener("mouseleave", () => this.hideCard());
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(stage);
  }

  close() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.reporting);
    this.sizes.disconnect();
    this.turn += 1;
    if (this.drawn) window.Plotly?.purge(this.parts.plot);
  }

  // -- Data from the server ------------------------------------------------------------------------

  async update(data, send) {
    this.send = send;
    this.turn += 1;
    const { turn } = this;
    const before = this.data;
    this.data = data;
    const { plot, note, slider } = this.parts;
    plot.setAttribute("aria-label", data.description);
    slider.max = data.layers.length - 1;
    this.root.classList.toggle("single", data.layers.length < 2);
    if (!this.points) this.position = data.layer;
    let points, about;
    try {
      [this.Plotly, points, about] = await Promise.all([
        loadPlotly(data.plotly),
        fetchOnce(data.points, decodePoints),
        fetchOnce(data.about, decodeAbout),
      ]);
    } catch {
      if (turn !== this.turn) return;
      note.textContent =
        "The points could not be loaded. Reload the page; if that does not help, see the server's log.";
      note.hidden = false;
      return;
    }
    if (turn !== this.turn) return;
    note.hidden = true;
    const changed = points !== this.points || about !== this.about;
    if (changed) this.adoptPoints(points, about, before);
    if (data.selected !== this.servedSelection) this.adoptSelection(data.selected);
    this.requestColors();
    const look = JSON.stringify({ ...data, layer: 0, colors: this.colors() });
    if (changed || look !== this.look || !this.drawn) {
      this.look = look;
      this.drawTools();
      this.drawLegend();
      this.drawDepth();
      await this.draw();
    }
    const moved = data.layer !== this.servedLayer;
    this.servedLayer = data.layer;
    if (changed && this.from) this.glide(this.from, data.layer);
    else if (moved && !this.playing && data.layer !== this.nextLayer())
      this.glide(this.now.slice(), data.layer);
    this.from = undefined;
  }

  adoptPoints(points, about, before) {
    const comparable =
      this.points &&
      this.about === about &&
      this.points.dimensions === points.dimensions &&
      this.now.length === points.layers[0].length;
    this.stop();
    this.from = comparable ? this.now : undefined;
    if (this.about !== about) this.hidden.clear();
    this.points = points;
    this.about = about;
    this.rowOf = new Map(Array.from(points.ids, (id, row) => [id, row]));
    this.members = rowsByClass(points.ids, about.labels, this.data.classes.length);
    this.position = this.data.layer;
    this.now = (this.from ?? points.layers[this.position]).slice();
    this.view = `${before?.about === this.data.about ? "" : this.data.about}${points.dimensions}`;
    this.fast = true;
  }

  adoptSelection(text) {
    this.servedSelection = text;
    this.selected = new Set(unpack(text, Uint32Array));
  }

  colors() {
    const style = getComputedStyle(this.root);
    const of = (name) => style.getPropertyValue(`--st-${name}`).trim();
    return {
      text: of("text-color"),
      background: of("background-color"),
      primary: of("primary-color"),
      font: of("font"),
    };
  }

  // Switching between light and dark runs no script on the server, which the colors of classes come from.
  requestColors() {
    const light = isLight(this.colors().background);
    if (this.data.dark === !light) this.requested = undefined;
    else if (this.requested !== light) {
      this.send("theme", light ? "light" : "dark");
      this.requested = light;
    }
  }

  // -- Moving --------------------------------------------------------------------------------------

  last() {
    return this.points.layers.length - 1;
  }

  // The layer at which the points come to rest.
  nextLayer() {
    return this.target ?? Math.round(this.position);
  }

  play() {
    if (!this.points || this.last() < 1) return;
    this.stop();
    clearTimeout(this.reporting);
    this.playing = true;
    this.hideCard();
    this.showPlaying();
    let clock = clockAt(this.position > this.last() - NEAR ? 0 : this.position);
    const still = prefersStill();
    let before = performance.now();
    const step = (time) => {
      clock += Math.max(0, time - before);
      before = time;
      const position = positionAt(clock, this.last(), still);
      this.showAt(position);
      if (position < this.last()) this.frame = requestAnimationFrame(step);
      else this.pause();
    };
    this.frame = requestAnimationFrame(step);
  }

  // Between two layers the points go on to the nearer one.
  pause() {
    if (!this.playing) return;
    this.stop();
    const near = Math.round(this.position);
    if (Math.abs(this.position - near) > NEAR) this.choose(near);
    else {
      this.settle();
      this.report(near);
    }
  }

  choose(layer) {
    if (!this.points) return;
    const target = Math.min(this.last(), Math.max(0, layer));
    this.glide(this.now.slice(), target);
    this.report(target);
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.playing = false;
    this.target = undefined;
    this.showPlaying();
  }

  // From wherever the points are to a layer.
  glide(from, target) {
    this.stop();
    this.target = target;
    this.hideCard();
    const start = this.position;
    const to = this.points.layers[target];
    const begun = performance.now();
    const duration = prefersStill() ? 0 : JUMP_MS;
    const step = (time) => {
      const share = duration ? Math.min(1, Math.max(0, time - begun) / duration) : 1;
      interpolate(from, to, ease(share), this.now);
      this.showPosition(start + (target - start) * ease(share));
      this.push();
      if (share < 1) this.frame = requestAnimationFrame(step);
      else {
        this.target = undefined;
        this.position = target;
        this.settle();
      }
    };
    this.showPosition(start);
    this.frame = requestAnimationFrame(step);
  }

  showAt(position) {
    const same = position === this.position && this.shown === position;
    this.showPosition(position);
    if (same) return;
    this.shown = position;
    const low = Math.floor(position);
    const high = Math.min(this.last(), low + 1);
    interpolate(this.points.layers[low], this.points.layers[high], position - low, this.now);
    this.push();
  }

  showPosition(position) {
    this.position = position;
    this.root.dataset.position = position.toFixed(3);
    this.chart.move(position);
    this.showLayer(this.nextLayer());
  }

  showLayer(i) {
    const layer = this.data.layers[i];
    const { slider, back, forward } = this.parts;
    if (!layer || (this.shownLayer === layer && slider.value === String(i))) return;
    this.shownLayer = layer;
    slider.value = i;
    slider.setAttribute("aria-valuetext", layer.text);
    back.disabled = i === 0;
    forward.disabled = i === this.data.layers.length - 1;
    this.parts["layer-name"].textContent = layer.text;
    this.parts["trustworthiness-now"].textContent = shownScore(layer.trustworthiness);
    this.parts["silhouette-now"].textContent = shownScore(layer.silhouette);
  }

  showPlaying() {
    const { play } = this.parts;
    play.querySelector("span").textContent = this.playing ? "Pause" : "Play";
    play
      .querySelector("path")
      .setAttribute("d", this.playing ? "M6 4h4v16H6zM14 4h4v16h-4z" : "M7 4v16l13-8z");
    this.root.dataset.playing = this.playing;
  }

  report(layer) {
    clearTimeout(this.reporting);
    this.reporting = setTimeout(() => {
      if (layer === this.servedLayer) return;
      this.servedLayer = layer;
      this.send("layer", this.data.layers[layer].name);
    }, REPORT_MS);
  }

  // -- Drawing -------------------------------------------------------------------------------------

  draw() {
    const { data, points, members } = this;
    const colors = this.colors();
    // The server does not know the neighbors of a point just clicked.
    const links = this.clicked === undefined ? data.links : [];
    this.around = highlight(this.clicked ?? data.picked, links, data.marks, this.rowOf, colors.text);
    this.rows = rowsOfTraces(members, this.around);
    const layout = layoutOf({
      points,
      colors,
      tool: this.tool[points.dimensions],
      view: this.view,
      turn: this.turn,
    });
    const { classes, marks } = data;
    const { now, around, hidden, selected } = this;
    const traces = tracesOf({ classes, marks, points, now, members, around, hidden, selected });
    const config = {
      displayModeBar: false,
      responsive: false,
      doubleClick: false,
      plotGlPixelRatio: Math.min(2, window.devicePixelRatio || 1),
      scrollZoom: false,
    };
    const first = !this.drawn;
    this.drawn = true;
    this.drawing += 1;
    return this.Plotly.react(this.parts.plot, traces, layout, config).then(() => {
      this.drawing -= 1;
      if (first) this.listenToPlot();
    });
  }

  // Shows the points where they are now, as fast as the chart can.
  push() {
    if (!this.drawn) return;
    if (this.points.dimensions === 2 && this.fast && this.pushToGpu()) return;
    // A chart that is still being drawn takes the next frame.
    if (this.pushing) return;
    this.pushing = true;
    this.restyle().finally(() => {
      this.pushing = false;
    });
  }

  columns(rows, Kind) {
    return columns(this.now, this.points.dimensions, rows, Kind);
  }

  restyle() {
    const traces = this.rows.map((rows) => this.columns(rows));
    const update = Object.fromEntries(
      Object.keys(traces[0]).map((axis) => [axis, traces.map((trace) => trace[axis])]),
    );
    return this.Plotly.restyle(this.parts.plot, update, [...traces.keys()]);
  }

  // Plotly's own way takes 30 ms for ten thousand points, most of it for what only matters once they
  // rest. This hands the new coordinates to the drawing alone. It reaches below Plotly's documented
  // interface; where that looks different, restyle() does the same more slowly.
  pushToGpu() {
    const { plot } = this.parts;
    try {
      const scene = plot._fullLayout._plots.xy._scene;
      const points = new Array(scene.count);
      const lines = new Array(scene.count);
      for (const [{ trace, t }] of plot.calcdata) {
        // What shows nothing has no place in the scene.
        const rows = this.rows[trace?.index] ?? [];
        if (!trace?.visible || !rows.length) continue;
        const { x, y } = this.columns(rows, Float64Array);
        const positions = new Float64Array(2 * x.length);
        for (let i = 0; i < x.length; i += 1) {
          positions[2 * i] = x[i];
          positions[2 * i + 1] = y[i];
        }
        if (trace.mode === "lines") lines[t.index] = { positions };
        // Circles take half the time to draw. Symbols that small look alike while they move; they are back at rest.
        else if (trace.index < this.members.length && this.points.ids.length > MANY)
          points[t.index] = { positions, marker: null };
        else points[t.index] = { positions };
      }
      scene.scatter2d.update(points);
      if (scene.select2d && this.selected.size) scene.select2d.update(points);
      if (scene.line2d) scene.line2d.update(lines);
      plot._fullLayout._glcanvas.each((canvas) => canvas.regl?.clear({ color: [0, 0, 0, 0], depth: 1 }));
      scene.draw();
      return true;
    } catch {
      this.fast = false;
      return false;
    }
  }

  // Hovering and selecting need the coordinates at which the points have come to rest.
  settle() {
    this.shown = undefined;
    if (this.drawn) this.restyle();
  }

  resized() {
    cancelAnimationFrame(this.resizing);
    this.resizing = requestAnimationFrame(() => {
      if (!this.drawn || !this.root.isConnected) return;
      this.Plotly.Plots.resize(this.parts.plot);
      this.drawDepth();
    });
  }

  drawDepth() {
    this.chart.draw(this.data.layers, this.position);
    this.shownLayer = undefined;
    this.showPosition(this.position);
  }

  drawTools() {
    const { tools, plot } = this.parts;
    const { dimensions } = this.points;
    const press = (tool) => {
      this.tool[dimensions] = tool;
      for (const one of tools.children) one.setAttribute("aria-pressed", one.value === tool);
    };
    const buttons = Object.entries(TOOLS[dimensions]).map(([value, name]) => {
      const one = button(name, () => {
        press(value);
        this.Plotly.relayout(plot, { [dimensions === 2 ? "dragmode" : "scene.dragmode"]: value });
      });
      return Object.assign(one, { value });
    });
    tools.replaceChildren(...buttons);
    press(this.tool[dimensions]);
  }

  drawLegend() {
    const counts = this.members.map((rows) => rows.length);
    drawLegend(this.parts.legend, this.data.classes, counts, this.points.dimensions, this.hidden, {
      toggle: (name) => this.hide(toggled(this.hidden, name)),
      only: (name) => this.hide(allBut(this.data.classes, name)),
    });
  }

  hide(hidden) {
    this.hidden = hidden;
    markHidden(this.parts.legend, hidden);
    const visible = this.data.classes.map(({ name }) => !hidden.has(name));
    this.Plotly.restyle(this.parts.plot, { visible }, [...visible.keys()]);
  }

  resetView() {
    if (!this.drawn) return;
    const [x, y] = viewRanges(this.points.bounds);
    const view =
      this.points.dimensions === 2 ? { "xaxis.range": x, "yaxis.range": y } : { "scene.camera": CAMERA };
    this.Plotly.relayout(this.parts.plot, view);
  }

  // -- The reader's actions ------------------------------------------------------------------------

  listenToPlot() {
    const { plot } = this.parts;
    plot.on("plotly_hover", ({ points }) => this.hover(points[0]));
    plot.on("plotly_unhover", () => this.hideCard());
    plot.on("plotly_click", ({ points }) => this.click(points[0]));
    plot.on("plotly_selected", (event) => this.select(event?.points ?? []));
    plot.on("plotly_deselect", () => this.select([]));
  }

  idOf(point) {
    return this.points.ids[this.members[point?.curveNumber]?.[point.pointNumber]];
  }

  hover(point) {
    const id = this.idOf(point);
    if (id === undefined || this.playing || this.target !== undefined) {
      this.hideCard();
      return;
    }
    const { card } = this.parts;
    const { title, label, source } = describeItem(id, this.about, this.data.classes, this.data.pictures);
    const [image, name, of] = card.children;
    withSource(image, source);
    name.textContent = title;
    of.textContent = title === label ? "" : label;
    of.hidden = title === label;
    card.hidden = false;
    this.placeCard();
  }

  hideCard() {
    this.parts.card.hidden = true;
  }

  trackMouse(event) {
    const box = this.parts.stage.getBoundingClientRect();
    this.mouse = { x: event.clientX - box.left, y: event.clientY - box.top };
    if (!this.parts.card.hidden) this.placeCard();
  }

  placeCard() {
    const { card, stage } = this.parts;
    const size = { width: card.offsetWidth, height: card.offsetHeight };
    const { left, top } = cardPosition(this.mouse ?? { x: 0, y: 0 }, stage.getBoundingClientRect(), size);
    card.style.transform = `translate(${left.toFixed(0)}px, ${top.toFixed(0)}px)`;
  }

  click(point) {
    const id = this.idOf(point);
    if (id === undefined || id === this.data.picked) return;
    this.clicked = id;
    this.draw();
    this.send("picked", id);
  }

  select(points) {
    // Plotly also reports an empty selection when drawing takes the outline away.
    if (this.drawing) return;
    const ids = points.map((point) => this.idOf(point)).filter((id) => id !== undefined);
    if (!ids.length && !this.selected.size) return;
    this.selected = new Set(ids);
    const text = pack([...this.selected].sort((a, b) => a - b));
    if (text !== this.servedSelection) this.send("selected", text);
    this.servedSelection = text;
    // The outline would stay behind when the points move.
    this.draw();
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".playground-scatter");
  root.scatter ??= new Scatter(root);
  const { scatter } = root;
  if (data.picked === scatter.clicked) scatter.clicked = undefined;
  scatter.update(data, setTriggerValue);
  return () => scatter.close();
}
