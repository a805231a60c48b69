// Draws the points with Plotly and moves them from layer to layer. All between two layers happens here:
// the server gets the layer at which the points have come to rest. While points or view move in 2-D, a plain canvas draws them.

import { withSource } from "../image_source.js";
import { annotate } from "./annotations.js";
import { cardPosition, describeItem } from "./card.js";
import {
  CAMERA,
  columns,
  highlight,
  isLight,
  layoutOf,
  opacityOf,
  plotlyTool,
  pointSize,
  ringSize,
  rowsByStyle,
  rowsOfTraces,
  tracesOf,
} from "./chart.js";
import { densityOf, densityTrace, MANY_POINTS } from "./density.js";
import { DepthChart } from "./depth_chart.js";
import { button } from "./elements.js";
import { listen } from "./gestures.js";
import { allBut, drawLegend, markHidden, toggled } from "./legend.js";
import { fetchOnce, loadPlotly } from "./load.js";
import { clockAt, ease, interpolate, JUMP_MS, positionAt } from "./motion.js";
import { Moving, shuffled } from "./moving.js";
import { pathOf, rowsWithin } from "./outline.js";
import { decodeAbout, decodePoints, pack, unpack } from "./points.js";
import { matching, styleOfRows, stylesOfClasses } from "./styling.js";
import { boxBetween, fitted, panned, rangesOf, zoomed } from "./view.js";

const REPORT_MS = 250; // rest at a layer before the server gets it
const REST_MS = 180; // without a change of the view before Plotly draws it
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
    this.canvas = new Moving(this.parts.moving);
    this.hidden = new Set();
    this.selected = new Set();
    this.turn = 0;
    this.drawing = 0;
    this.motion = 0;
    this.position = 0;
    this.playing = false;
    this.named = true;
    this.tool = { 2: "lasso", 3: "turntable" };
    this.listen();
  }

  listen() {
    const { back, play, forward, slider, reset, stage, find, names, density } = this.parts;
    back.onclick = () => this.choose(Math.ceil(this.position - NEAR) - 1);
    forward.onclick = () => this.choose(Math.floor(this.position + NEAR) + 1);
    play.onclick = () => (this.playing ? this.pause() : this.play());
    slider.oninput = () => this.choose(Number(slider.value));
    reset.onclick = () => this.resetView();
    find.oninput = () => this.find();
    // A handler that returns false would keep every other key from the field.
    find.onkeydown = (event) => {
      if (event.key === "Enter") this.openFound();
    };
    names.onclick = () => this.showNames(!this.named);
    density.onclick = () => this.drawn && this.showDensity(!this.isDense());
    stage.addEventListener("mousemove", (event) => this.trackMouse(event));
    stage.addEventListener("mouseleave", () => this.hideCard());
    this.gestures = listen(stage, {
      flat: () => this.points?.dimensions === 2,
      tool: () => this.tool[2],
      outline: (points) => this.showOutline(points),
      enclose: (points, more) => this.enclose(points, more),
      zoom: (point, factor) => this.zoom(point, factor),
      pan: (dx, dy) => this.pan(dx, dy),
      reset: () => this.resetView(),
    });
    this.parts["zoom-in"].onclick = () => this.gestures.zoom(1);
    this.parts["zoom-out"].onclick = () => this.gestures.zoom(-1);
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(stage);
  }

  close() {
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.painting);
    clearTimeout(this.reporting);
    clearTimeout(this.resting);
    this.sizes.disconnect();
    this.gestures.close();
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
    if (!this.points) {
      this.position = data.layer;
      this.drawDepth();
    }
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
    this.adoptGroups(before);
    if (data.selected !== this.servedSelection) this.adoptSelection(data.selected);
    this.requestColors();
    const look = JSON.stringify({ ...data, layer: 0, colors: this.colors() });
    if (changed || look !== this.look || !this.drawn) {
      this.look = look;
      this.drawTools();
      this.drawLegend();
      this.drawDepth();
      this.style();
      await this.draw();
    }
    const moved = data.layer !== this.servedLayer;
    this.servedLayer = data.layer;
    if (changed && this.from) this.glide(this.from, this.fromBox, data.layer);
    else if (moved && !this.playing && data.layer !== this.nextLayer()) this.glideOn(data.layer);
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
    this.fromBox = this.box;
    if (this.about !== about) this.hidden.clear();
    if (!comparable) this.view = undefined;
    this.points = points;
    this.about = about;
    this.rowOf = new Map(Array.from(points.ids, (id, row) => [id, row]));
    this.order = shuffled(points.ids.length);
    this.position = this.data.layer;
    this.now = (this.from ?? points.layers[this.position]).slice();
    this.box = comparable ? this.fromBox : points.boxes[this.position];
    this.turning = `${before?.about === this.data.about ? "" : this.data.about}${points.dimensions}`;
    this.root.dataset.dimensions = points.dimensions;
  }

  // What the points are colored by: the style of each group, and the group of each image.
  adoptGroups(before) {
    const { classes, groups } = this.data;
    const names = (data) => (data?.groups?.styles ?? []).map(({ name }) => name).join("\n");
    if (names(this.data) !== names(before)) this.hidden.clear();
    this.groups = groups
      ? { ...groups, of: unpack(groups.codes, Uint16Array) }
      : { styles: classes, of: this.about.labels, named: classes.length > 1 ? classes.length : 0 };
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

  // -- Moving the points ---------------------------------------------------------------------------

  last() {
    return this.points.layers.length - 1;
  }

  // The layer at which the points come to rest.
  nextLayer() {
    return this.target ?? Math.round(this.position);
  }

  // From the first layer to the last, or on from where it was paused.
  play() {
    if (!this.points || this.last() < 1) return;
    const resumed = this.paused === this.nextLayer() && this.paused < this.last() ? this.paused : 0;
    this.stop();
    clearTimeout(this.reporting);
    this.playing = true;
    this.hideCard();
    this.showPlaying();
    if (Math.abs(this.position - resumed) > NEAR)
      this.glide(this.now.slice(), this.box, resumed, () => this.run());
    else this.run();
  }

  run() {
    let clock = clockAt(this.position);
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
    this.paused = near;
  }

  choose(layer) {
    if (!this.points) return;
    const target = Math.min(this.last(), Math.max(0, layer));
    this.glideOn(target);
    this.report(target);
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.playing = false;
    this.paused = undefined;
    this.target = undefined;
    this.showPlaying();
  }

  glideOn(target) {
    this.stop();
    this.glide(this.now.slice(), this.box, target);
  }

  // From wherever the points are to a layer.
  glide(from, fromBox, target, then = () => this.settle()) {
    this.target = target;
    this.hideCard();
    const start = this.position;
    const to = this.points.layers[target];
    const begun = performance.now();
    const duration = prefersStill() ? 0 : JUMP_MS;
    const step = (time) => {
      const share = duration ? Math.min(1, Math.max(0, time - begun) / duration) : 1;
      interpolate(from, to, ease(share), this.now);
      this.box = boxBetween(fromBox, this.points.boxes[target], ease(share));
      this.showPosition(start + (target - start) * ease(share));
      this.push();
      if (share < 1) this.frame = requestAnimationFrame(step);
      else {
        this.target = undefined;
        this.position = target;
        then();
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
    const { layers, boxes } = this.points;
    interpolate(layers[low], layers[high], position - low, this.now);
    this.box = boxBetween(boxes[low], boxes[high], position - low);
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

  // -- Moving the view in 2-D ----------------------------------------------------------------------

  size() {
    const { clientWidth: width, clientHeight: height } = this.parts.stage;
    return { width, height };
  }

  // What the reader has chosen to see, or all points.
  shownView(size = this.size()) {
    return this.view ?? fitted(this.box, size);
  }

  // `point` is in pixels of the stage; its middle by default.
  zoom(point, factor) {
    if (!this.drawn) return;
    if (this.points.dimensions === 3) {
      const { eye, ...camera } = this.parts.plot._fullLayout.scene.camera;
      const nearer = Object.fromEntries(Object.entries(eye).map(([axis, value]) => [axis, value / factor]));
      this.Plotly.relayout(this.parts.plot, { "scene.camera": { ...camera, eye: nearer } });
      return;
    }
    const size = this.size();
    const middle = [size.width / 2, size.height / 2];
    this.view = zoomed(this.shownView(size), size, point ?? middle, factor, fitted(this.box, size));
    this.moveView();
  }

  pan(dx, dy) {
    if (!this.drawn || this.points.dimensions === 3) return;
    this.view = panned(this.shownView(), dx, dy);
    this.moveView();
  }

  resetView() {
    if (!this.drawn) return;
    this.view = undefined;
    if (this.points.dimensions === 2) this.moveView();
    else this.Plotly.relayout(this.parts.plot, { "scene.camera": CAMERA });
  }

  moveView() {
    this.hideCard();
    this.push();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.rest(), REST_MS);
  }

  rest() {
    if (this.gestures.held()) this.moveView();
    else if (!this.playing && this.target === undefined) this.settle();
  }

  // -- Drawing -------------------------------------------------------------------------------------

  // Which style every row has: `styleOf`, `styles` and the rows of each, `members`. Rows that are hidden have none.
  style() {
    const { ids } = this.points;
    const { styles: classes, of: labels } = this.groups;
    const { styles, of } = stylesOfClasses(classes);
    this.styles = styles;
    this.styleOf = styleOfRows({ ids, labels, classes, hidden: this.hidden, of });
    this.members = rowsByStyle(this.styleOf, styles.length);
    this.brighten();
  }

  // Rows that are not faint: those found by name, otherwise those selected; undefined where none is.
  brighten() {
    const { ids } = this.points;
    const found = matching(this.parts.find.value, { ids, ...this.about, classes: this.data.classes });
    const rows =
      found ?? [...this.selected].map((id) => this.rowOf.get(id)).filter((row) => row !== undefined);
    this.found = found;
    this.bright = undefined;
    if (!found && !this.selected.size) return;
    this.bright = new Uint8Array(ids.length);
    for (const row of rows) this.bright[row] = 1;
  }

  draw() {
    const { data, points, members, styles, now, box, bright } = this;
    const colors = this.colors();
    // The server does not know the neighbors of a point just clicked.
    const links = this.clicked === undefined ? data.links : [];
    this.around = highlight(this.clicked ?? data.picked, links, data.marks, this.rowOf, colors.text);
    this.rows = rowsOfTraces(members, this.around);
    const { dimensions } = points;
    const size = this.size();
    const layout = layoutOf({
      dimensions,
      size,
      ranges: dimensions === 2 && rangesOf(this.shownView(size), size),
      colors,
      tool: this.tool[dimensions],
      turning: dimensions === 3 ? this.turning : undefined,
    });
    const { marks } = data;
    const { around } = this;
    const { background } = colors;
    const traces = tracesOf({ styles, marks, points, now, box, members, around, bright, background });
    if (this.isDense())
      traces.push(densityTrace(densityOf(now, this.styleOf, points.boxes[this.nextLayer()]), colors.primary));
    const config = {
      displayModeBar: false,
      responsive: false,
      doubleClick: false,
      plotGlPixelRatio: Math.min(2, window.devicePixelRatio || 1),
      scrollZoom: dimensions === 3,
    };
    this.canvas.prepare({
      styles,
      pointSize: pointSize(points.ids.length, 2),
      opacity: opacityOf(points.ids.length),
    });
    const first = !this.drawn;
    this.drawn = true;
    this.parts.density.setAttribute("aria-pressed", this.isDense());
    this.drawing += 1;
    return this.Plotly.react(this.parts.plot, traces, layout, config).then(() => {
      this.drawing -= 1;
      if (first) this.listenToPlot();
      this.annotate();
    });
  }

  // Whether the density of the points is drawn over them: the reader's choice, or where they are many.
  isDense() {
    return this.points.dimensions === 2 && (this.dense ?? this.points.ids.length > MANY_POINTS);
  }

  showDensity(shown) {
    this.dense = shown;
    this.draw();
  }

  // Shows the points where they are now, as fast as can be.
  push() {
    if (!this.drawn) return;
    this.motion += 1;
    if (this.points.dimensions === 2) {
      this.root.dataset.moving = true;
      cancelAnimationFrame(this.painting);
      this.painting = requestAnimationFrame(() => this.paint());
      return;
    }
    // A chart that is still being drawn takes the next frame.
    if (this.pushing) return;
    this.pushing = true;
    this.Plotly.restyle(this.parts.plot, this.coordinates(), [...this.rows.keys()]).finally(() => {
      this.pushing = false;
    });
  }

  paint() {
    const { order, now, styleOf, bright, around, points, data } = this;
    const size = this.size();
    const lines = ["same", "other"].flatMap((kind) =>
      around[kind]
        .filter((row) => row >= 0)
        .flatMap((row, i, all) => (i % 2 ? [{ from: all[i - 1], to: row, ...data.marks[kind] }] : [])),
    );
    const rings = around.rings.map((row, i) => ({
      row,
      color: around.colors[i],
      diameter: ringSize(around.scales[i], points.ids.length, 2),
    }));
    this.canvas.draw({ order, now, styleOf, view: this.shownView(size), size, bright, lines, rings });
  }

  // Coordinates of every trace, as Plotly takes them.
  coordinates() {
    const traces = this.rows.map((rows) => columns(this.now, this.points.dimensions, rows, this.box));
    return Object.fromEntries(
      Object.keys(traces[0]).map((axis) => [axis, traces.map((trace) => trace[axis])]),
    );
  }

  // All points at the coordinates at which they have come to rest: what hovering and selecting need.
  settle() {
    this.shown = undefined;
    clearTimeout(this.resting);
    if (!this.drawn) return;
    const { motion } = this;
    const size = this.size();
    const [x, y] = this.points.dimensions === 2 ? rangesOf(this.shownView(size), size) : [];
    const view = x ? { ...size, "xaxis.range": x, "yaxis.range": y } : {};
    this.drawing += 1;
    const traces = [...this.rows.keys()];
    const drawn = this.isDense()
      ? this.draw()
      : this.Plotly.update(this.parts.plot, this.coordinates(), view, traces);
    drawn.finally(() => {
      this.drawing -= 1;
      if (motion !== this.motion) return;
      this.root.dataset.moving = false;
      this.annotate();
    });
  }

  resized() {
    cancelAnimationFrame(this.resizing);
    this.resizing = requestAnimationFrame(() => {
      if (!this.data || !this.root.isConnected) return;
      const size = this.size();
      this.drawDepth();
      const known = this.parts.plot._fullLayout;
      if (!this.drawn || !size.width || (known?.width === size.width && known?.height === size.height))
        return;
      if (this.points.dimensions === 2) this.moveView();
      else this.Plotly.relayout(this.parts.plot, size);
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
        const mode = plotlyTool(dimensions, value);
        this.Plotly.relayout(plot, { [dimensions === 2 ? "dragmode" : "scene.dragmode"]: mode });
      });
      return Object.assign(one, { value });
    });
    tools.replaceChildren(...buttons);
    press(this.tool[dimensions]);
  }

  drawLegend() {
    const { styles, of } = this.groups;
    const counts = styles.map(() => 0);
    for (const id of this.points.ids) counts[of[id]] += 1;
    drawLegend(this.parts.legend, styles, counts, this.points.dimensions, this.hidden, {
      toggle: (name) => this.hide(toggled(this.hidden, name)),
      only: (name) => this.hide(allBut(styles, name)),
    });
  }

  hide(hidden) {
    this.hidden = hidden;
    markHidden(this.parts.legend, hidden);
    this.style();
    this.draw();
  }

  // Names of classes and images over the points that rest.
  annotate() {
    const { annotations } = this.parts;
    const { points, about, data, now, styleOf, groups } = this;
    const moving = this.playing || this.target !== undefined || this.root.dataset.moving === "true";
    if (points.dimensions !== 2 || moving) {
      annotations.replaceChildren();
      return;
    }
    const { ids } = points;
    const size = this.size();
    annotate(annotations, {
      now,
      styleOf,
      view: this.shownView(size),
      size,
      classes: groups.styles,
      classOf: (row) => groups.of[ids[row]],
      imageOf: (row) => ({
        source: describeItem(ids[row], about, data.classes, data.pictures).source,
        color: this.styles[styleOf[row]].color,
      }),
      named: this.named ? groups.named : 0,
    });
  }

  showNames(shown) {
    this.named = shown;
    this.parts.names.setAttribute("aria-pressed", shown);
    if (this.drawn) this.annotate();
  }

  // -- The reader's actions ------------------------------------------------------------------------

  listenToPlot() {
    const { plot } = this.parts;
    plot.on("plotly_hover", ({ points }) => this.hover(points[0]));
    plot.on("plotly_unhover", () => this.hideCard());
    plot.on("plotly_click", ({ points }) => this.click(points[0]));
    plot.on("plotly_relayout", (change) => this.boxZoomed(change));
  }

  // Plotly's own tool stretches the view; distances stay the same along both axes here.
  boxZoomed(change) {
    if (change["xaxis.range[0]"] === undefined || this.points.dimensions !== 2) return;
    const box = ["xaxis", "yaxis"].map((axis) =>
      [0, 1].map((end) => change[`${axis}.range[${end}]`] ?? this.parts.plot._fullLayout[axis].range[end]),
    );
    this.view = fitted(box, this.size());
    this.settle();
  }

  idOf(point) {
    return this.points.ids[this.members[point?.curveNumber]?.[point.pointNumber]];
  }

  hover(point) {
    const id = this.idOf(point);
    if (id === undefined || this.playing || this.target !== undefined || this.gestures.held()) {
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
    if (!this.gestures.dragged()) this.pick(this.idOf(point));
  }

  pick(id) {
    if (id === undefined || id === this.data.picked) return;
    this.clicked = id;
    this.draw();
    this.send("picked", id);
  }

  find() {
    if (!this.points) return;
    this.brighten();
    this.parts["found-count"].textContent = this.found
      ? `${this.found.length.toLocaleString("en")} found`
      : "";
    clearTimeout(this.finding);
    this.finding = setTimeout(() => this.draw(), 120);
  }

  // Enter goes through the images that were found.
  openFound() {
    if (!this.found?.length) return;
    const row = this.rowOf.get(this.clicked ?? this.data.picked);
    const next = this.found[(this.found.indexOf(row) + 1) % this.found.length];
    this.pick(this.points.ids[next]);
  }

  showOutline(points) {
    this.hideCard();
    this.parts["outline-path"].setAttribute("d", pathOf(points));
  }

  // Select the points within an outline; `more` adds them to those that are selected.
  enclose(outline, more) {
    if (!this.drawn) return;
    const size = this.size();
    const { now, styleOf, points } = this;
    const rows = rowsWithin(outline, { now, styleOf, view: this.shownView(size), size });
    const ids = rows.map((row) => points.ids[row]);
    if (!ids.length && !this.selected.size) return;
    this.selected = new Set(more ? [...this.selected, ...ids] : ids);
    const text = pack([...this.selected].sort((a, b) => a - b));
    if (text !== this.servedSelection) this.send("selected", text);
    this.servedSelection = text;
    this.brighten();
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
