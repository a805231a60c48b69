// Draws the points with Plotly and moves them from layer to layer. Everything in between two layers
// happens here: the server is told once the points have come to rest.

const MOVE_MS = 1100; // from one layer to the next while playing
const HOLD_MS = 350; // rest at each layer
const JUMP_MS = 450; // to a layer that was chosen
const REPORT_MS = 250; // rest before the server hears of a layer
const MANY = 2500; // points from which on they are small and drawn as simply as can be
const EDGE_OF_VIEW = 1.06;
const CAMERA = { eye: { x: 1.1, y: 1.1, z: 0.7 }, center: { x: 0, y: 0, z: -0.1 } };

const GLYPHS = {
  circle: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
  square: "M-4.5 -4.5h9v9h-9z",
  diamond: "M0 -6L6 0L0 6L-6 0z",
  cross: "M-6 -2h4v-4h4v4h4v4h-4v4h-4v-4h-4z",
  x: "M-5.5 -3L-3 -5.5L0 -2.5L3 -5.5L5.5 -3L2.5 0L5.5 3L3 5.5L0 2.5L-3 5.5L-5.5 3L-2.5 0z",
  "triangle-up": "M0 -5.5L6 5H-6z",
  "triangle-down": "M0 5.5L6 -5H-6z",
  star: "M0 -6.5L1.6 -2.2L6.2 -2L2.6 0.8L3.8 5.3L0 2.7L-3.8 5.3L-2.6 0.8L-6.2 -2L-1.6 -2.2z",
  hexagon: "M0 -6L5.2 -3V3L0 6L-5.2 3V-3z",
  bowtie: "M-5.5 -5L0 0L5.5 -5V5L0 0L-5.5 5z",
};

// Charts with depth draw some symbols larger than others of the same size.
const SCALE_3D = { x: 0.55, cross: 0.8 };

const TOOLS = {
  2: { lasso: "Lasso", select: "Box", pan: "Pan", zoom: "Zoom" },
  3: { turntable: "Turn", pan: "Pan", zoom: "Zoom" },
};

const ease = (t) => (t < 0.5 ? 4 * t * t * t : 1 - (2 - 2 * t) ** 3 / 2);

const stillPlease = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

class Scatter {
  constructor(root) {
    this.root = root;
    const part = (name) => root.querySelector(`.${name}`);
    this.parts = Object.fromEntries(
      [
        "tools",
        "reset",
        "stage",
        "plot",
        "card",
        "note",
        "legend",
        "back",
        "play",
        "forward",
        "slider",
        "layer-name",
        "trustworthiness-now",
        "silhouette-now",
        "depth-chart",
      ].map((name) => [name, part(name)]),
    );
    this.chart = new DepthChart(this.parts["depth-chart"], (place) => this.choose(place));
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
    const { back, play, forward, slider, reset, stage, card } = this.parts;
    back.onclick = () => this.choose(Math.ceil(this.position - 0.001) - 1);
    forward.onclick = () => this.choose(Math.floor(this.position + 0.001) + 1);
    play.onclick = () => (this.playing ? this.pause() : this.play());
    slider.oninput = () => this.choose(Number(slider.value));
    reset.onclick = () => this.resetView();
    stage.addEventListener("mousemove", (event) => this.follow(event));
    stage.addEventListener("mouseleave", () => (card.hidden = true));
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

  // -- What the server says ------------------------------------------------------------------------

  async update(data, send) {
    this.send = send;
    this.turn += 1;
    const { turn } = this;
    const before = this.data;
    this.data = data;
    const { plot, note, slider } = this.parts;
    plot.setAttribute("aria-label", data.description);
    slider.max = data.layers.length - 1;
    // With one layer there is nowhere to go.
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
    const other = points !== this.points || about !== this.about;
    if (other) this.take(points, about, before);
    if (data.selected !== this.servedSelection) this.adoptSelection(data.selected);
    this.askForColors();
    const look = JSON.stringify({ ...data, layer: 0, colors: this.colors() });
    if (other || look !== this.look || !this.drawn) {
      this.look = look;
      this.drawTools();
      this.drawLegend();
      this.drawDepth();
      await this.draw();
    }
    const moved = data.layer !== this.servedLayer;
    this.servedLayer = data.layer;
    if (other && this.from) this.glide(this.from, data.layer);
    else if (moved && !this.playing && data.layer !== this.heading())
      this.glide(this.now.slice(), data.layer);
    this.from = undefined;
  }

  take(points, about, before) {
    const comparable =
      this.points &&
      this.about === about &&
      this.points.dimensions === points.dimensions &&
      this.now.length === points.places[0].length;
    this.stop();
    this.from = comparable ? this.now : undefined;
    if (this.about !== about) this.hidden.clear();
    this.points = points;
    this.about = about;
    this.placeOf = new Map(Array.from(points.ids, (id, place) => [id, place]));
    this.members = this.data.classes.map(() => []);
    for (const [place, id] of points.ids.entries()) this.members[about.labels[id]]?.push(place);
    this.position = this.data.layer;
    this.now = comparable ? this.from.slice() : points.places[this.position].slice();
    this.view = `${before?.about === this.data.about ? "" : this.data.about}${points.dimensions}`;
    this.fast = true;
  }

  adoptSelection(text) {
    this.servedSelection = text;
    this.selected = new Set(unpack(text, Uint32Array));
  }

  colors() {
    const style = getComputedStyle(this.root);
    const of = (name) => style.getPropertyValue(name).trim();
    return {
      text: of("--st-text-color"),
      ground: of("--st-background-color"),
      border: of("--st-border-color"),
      primary: of("--st-primary-color"),
      font: of("--st-font"),
    };
  }

  isLight() {
    return parseInt(this.colors().ground.slice(1, 3), 16) > 127;
  }

  // A reader who switches between light and dark runs no script; class colors come from one.
  askForColors() {
    const light = this.isLight();
    if (this.data.dark === !light) this.asked = undefined;
    else if (this.asked !== light) this.send("theme", light ? "light" : "dark");
    if (this.data.dark === light) this.asked = light;
  }

  // -- Moving --------------------------------------------------------------------------------------

  last() {
    return this.points.places.length - 1;
  }

  // Where the points rest once they have stopped.
  heading() {
    return this.target ?? Math.round(this.position);
  }

  play() {
    if (!this.points || this.last() < 1) return;
    this.stop();
    clearTimeout(this.reporting);
    this.playing = true;
    this.parts.card.hidden = true;
    this.showPlaying();
    if (this.position > this.last() - 0.001) this.position = 0;
    let clock = Math.floor(this.position) * (MOVE_MS + HOLD_MS);
    const within = this.position % 1;
    // The way back through ease(): where in time the points would be at this place.
    if (within)
      clock +=
        HOLD_MS + MOVE_MS * (within < 0.5 ? Math.cbrt(within / 4) : 1 - Math.cbrt((1 - within) * 2) / 2);
    const still = stillPlease();
    let before = performance.now();
    const step = (time) => {
      clock += Math.max(0, time - before);
      before = time;
      const place = Math.min(this.last(), Math.floor(clock / (MOVE_MS + HOLD_MS)));
      const share = Math.max(0, (clock % (MOVE_MS + HOLD_MS)) - HOLD_MS) / MOVE_MS;
      this.showAt(place === this.last() ? place : place + (still ? 0 : ease(share)));
      if (place < this.last()) this.frame = requestAnimationFrame(step);
      else this.pause();
    };
    this.frame = requestAnimationFrame(step);
  }

  pause() {
    if (!this.playing) return;
    this.stop();
    // A place between two layers is no layer: go on to the nearer one.
    const near = Math.round(this.position);
    if (Math.abs(this.position - near) > 0.001) this.choose(near);
    else {
      this.settle();
      this.report(near);
    }
  }

  choose(place) {
    if (!this.points) return;
    const target = Math.min(this.last(), Math.max(0, place));
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
    this.parts.card.hidden = true;
    const start = this.position;
    const to = this.points.places[target];
    const begun = performance.now();
    const duration = stillPlease() ? 0 : JUMP_MS;
    const step = (time) => {
      const share = duration ? Math.min(1, Math.max(0, time - begun) / duration) : 1;
      this.mix(from, to, ease(share));
      this.mark(start + (target - start) * ease(share));
      this.push();
      if (share < 1) this.frame = requestAnimationFrame(step);
      else {
        this.target = undefined;
        this.position = target;
        this.settle();
      }
    };
    this.mark(start);
    this.frame = requestAnimationFrame(step);
  }

  showAt(position) {
    const same = position === this.position && this.shown === position;
    this.mark(position);
    if (same) return;
    this.shown = position;
    const low = Math.min(this.last(), Math.floor(position));
    const high = Math.min(this.last(), low + 1);
    this.mix(this.points.places[low], this.points.places[high], position - low);
    this.push();
  }

  mix(from, to, share) {
    const { now } = this;
    for (let i = 0; i < now.length; i += 1) now[i] = from[i] + (to[i] - from[i]) * share;
  }

  // Slider, words and the line chart say where the points are.
  mark(position) {
    this.position = position;
    this.root.dataset.position = position.toFixed(3);
    this.chart.move(position);
    this.say(this.target ?? Math.round(position));
  }

  say(place) {
    const layer = this.data.layers[place];
    const { slider, back, forward } = this.parts;
    if (!layer || (this.said === layer.text && slider.value === String(place))) return;
    this.said = layer.text;
    const number = (value) => (value === null ? "–" : value.toFixed(2).replace("-", "−"));
    slider.value = place;
    slider.setAttribute("aria-valuetext", layer.text);
    back.disabled = place === 0;
    forward.disabled = place === this.data.layers.length - 1;
    this.parts["layer-name"].textContent = layer.text;
    this.parts["trustworthiness-now"].textContent = number(layer.trustworthiness);
    this.parts["silhouette-now"].textContent = number(layer.silhouette);
  }

  showPlaying() {
    const { play } = this.parts;
    play.querySelector("span").textContent = this.playing ? "Pause" : "Play";
    play
      .querySelector("path")
      .setAttribute("d", this.playing ? "M6 4h4v16H6zM14 4h4v16h-4z" : "M7 4v16l13-8z");
    this.root.dataset.playing = this.playing;
  }

  report(place) {
    clearTimeout(this.reporting);
    this.reporting = setTimeout(() => {
      if (place === this.servedLayer) return;
      this.servedLayer = place;
      this.send("layer", this.data.layers[place].name);
    }, REPORT_MS);
  }

  // -- Drawing -------------------------------------------------------------------------------------

  axes(places, Kind = Float32Array) {
    const n = this.points.dimensions;
    return ["x", "y", "z"]
      .slice(0, n)
      .map((_, axis) => Kind.from(places, (place) => (place < 0 ? NaN : this.now[place * n + axis])));
  }

  // Pairs of ends for the lines of one kind, with a gap after each.
  ends(same) {
    const start = this.placeOf.get(this.picked());
    if (start === undefined) return [];
    const ends = this.data.links.filter((link) => link.same === same && this.placeOf.has(link.id));
    return ends.flatMap((link) => [start, this.placeOf.get(link.id), -1]);
  }

  picked() {
    return this.clicked ?? this.data.picked;
  }

  rings() {
    const { marks, links } = this.data;
    const start = this.placeOf.get(this.picked());
    const rings = links.filter(
      (link) => this.placeOf.has(link.id) && start !== undefined && this.clicked === undefined,
    );
    const places = rings.map((link) => this.placeOf.get(link.id));
    const colors = rings.map((link) => (link.same ? marks.same : marks.other).color);
    if (start !== undefined) {
      places.push(start);
      colors.push(this.colors().text);
    }
    return { places, colors, sizes: places.map((place) => (place === start ? 1.5 : 1)) };
  }

  size() {
    const n = this.points.ids.length;
    const size = n <= 400 ? 9 : n <= MANY ? 7 : 5;
    return this.points.dimensions === 3 ? size * 0.6 : size;
  }

  // Which points each trace shows, in the order of the traces.
  traces() {
    const same = this.clicked === undefined ? this.ends(true) : [];
    const other = this.clicked === undefined ? this.ends(false) : [];
    return [...this.members, same, other, this.rings().places];
  }

  draw() {
    const flat = this.points.dimensions === 2;
    const colors = this.colors();
    const type = flat ? "scattergl" : "scatter3d";
    const size = this.size();
    const traces = this.traces();
    const place = (indices) => {
      const [x, y, z] = this.axes(indices);
      return flat ? { x, y } : { x, y, z };
    };
    const classes = this.data.classes.map((one, i) => ({
      type,
      mode: "markers",
      name: one.name,
      ...place(traces[i]),
      visible: !this.hidden.has(one.name),
      hoverinfo: "none",
      marker: {
        size: flat ? size : size * (SCALE_3D[one.symbol_3d] ?? 1),
        color: one.color,
        symbol: flat ? one.symbol : one.symbol_3d,
        opacity: this.points.ids.length > MANY ? 0.75 : 0.9,
        line: { width: 0 },
      },
      ...(flat
        ? {
            selectedpoints: this.selected.size ? this.chosenAmong(traces[i]) : null,
            selected: { marker: { opacity: 1 } },
            unselected: { marker: { opacity: 0.15 } },
          }
        : {}),
    }));
    const lines = [this.data.marks.same, this.data.marks.other].map((mark, i) => ({
      type,
      mode: "lines",
      ...place(traces[classes.length + i]),
      hoverinfo: "skip",
      line: { color: mark.color, width: flat ? 2 : 4, dash: mark.dashed ? "dash" : "solid" },
    }));
    const rings = this.rings();
    const around = {
      type,
      mode: "markers",
      ...place(rings.places),
      hoverinfo: "skip",
      marker: {
        size: rings.sizes.map((factor) => factor * (size + (flat ? 7 : 5))),
        color: rings.colors,
        symbol: "circle-open",
        line: { width: 2.5, color: rings.colors },
      },
      ...(flat ? { selectedpoints: null } : {}),
    };
    const layout = {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      hovermode: "closest",
      hoverdistance: 12,
      uirevision: this.view,
      selectionrevision: this.turn,
      dragmode: this.tool[this.points.dimensions],
      font: { color: colors.text, family: colors.font },
      ...(flat ? this.flatAxes(colors) : this.deepAxes()),
    };
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
    return this.Plotly.react(this.parts.plot, [...classes, ...lines, around], layout, config).then(() => {
      this.drawing -= 1;
      if (first) this.hear();
    });
  }

  chosenAmong(places) {
    const { ids } = this.points;
    return places.flatMap((place, i) => (this.selected.has(ids[place]) ? [i] : []));
  }

  flatAxes(colors) {
    const axis = { visible: false, fixedrange: false };
    const [x, y] = this.flatView();
    return {
      xaxis: { ...axis, range: x },
      yaxis: { ...axis, range: y, scaleanchor: "x" },
      newselection: { line: { color: colors.primary, width: 2, dash: "dot" } },
      selections: [],
    };
  }

  deepAxes() {
    // Lines with depth are drawn without transparency, which the theme's own border color has.
    const faint = this.isLight() ? "#d3d8de" : "#3d4652";
    const axis = {
      range: [-EDGE_OF_VIEW, EDGE_OF_VIEW],
      title: { text: "" },
      showticklabels: false,
      showspikes: false,
      showbackground: false,
      zeroline: false,
      gridcolor: faint,
      linecolor: faint,
    };
    return {
      scene: {
        xaxis: axis,
        yaxis: axis,
        zaxis: axis,
        aspectmode: "cube",
        camera: CAMERA,
        dragmode: this.tool[3],
      },
    };
  }

  // Shows the points where they are now, as fast as the chart can.
  push() {
    if (!this.drawn) return;
    if (this.points.dimensions === 2 && this.fast && this.pushToGpu()) return;
    // A chart that is still being drawn takes the next frame.
    if (this.pushing) return;
    this.pushing = true;
    this.restyle().finally(() => (this.pushing = false));
  }

  restyle() {
    const traces = this.traces();
    const update = { x: [], y: [], ...(this.points.dimensions === 3 ? { z: [] } : {}) };
    for (const places of traces) {
      const [x, y, z] = this.axes(places);
      update.x.push(x);
      update.y.push(y);
      update.z?.push(z);
    }
    return this.Plotly.restyle(this.parts.plot, update, [...traces.keys()]);
  }

  // Plotly's own way takes 30 ms for ten thousand points, most of it for what only matters once they
  // rest. This hands the new places to the drawing alone. It reaches below Plotly's documented
  // interface; where that looks different, restyle() does the same more slowly.
  pushToGpu() {
    const { plot } = this.parts;
    try {
      const scene = plot._fullLayout._plots.xy._scene;
      const traces = this.traces();
      const points = new Array(scene.count);
      const lines = new Array(scene.count);
      for (const [{ trace, t }] of plot.calcdata) {
        // What shows nothing has no place in the scene.
        const places = traces[trace?.index] ?? [];
        if (!trace?.visible || !places.length) continue;
        const [x, y] = this.axes(places, Float64Array);
        const positions = new Float64Array(2 * x.length);
        for (let i = 0; i < x.length; i += 1) {
          positions[2 * i] = x[i];
          positions[2 * i + 1] = y[i];
        }
        if (trace.mode === "lines") lines[t.index] = { positions };
        // Circles take half the time to draw. Shapes that small can't be told while they move; they are back once it rests.
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

  // The points have stopped: what they are hovered and enclosed by has to know their places too.
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
    const { layers } = this.data;
    const list = (of) =>
      layers
        .map((layer) => `${layer.depth}: ${layer[of] === null ? "none" : layer[of].toFixed(2)}`)
        .join(", ");
    this.said = undefined;
    this.chart.draw(
      layers,
      `Line chart over the layers. Trustworthiness ${list("trustworthiness")}. Silhouette ${list("silhouette")}.`,
      this.position,
    );
    this.mark(this.position);
  }

  drawTools() {
    const { tools } = this.parts;
    const n = this.points.dimensions;
    tools.replaceChildren();
    for (const [tool, name] of Object.entries(TOOLS[n])) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", tool === this.tool[n]);
      button.onclick = () => {
        this.tool[n] = tool;
        for (const one of tools.children) one.setAttribute("aria-pressed", one === button);
        this.Plotly.relayout(this.parts.plot, n === 2 ? { dragmode: tool } : { "scene.dragmode": tool });
      };
      tools.append(button);
    }
  }

  drawLegend() {
    const { legend } = this.parts;
    const flat = this.points.dimensions === 2;
    const focused = [...legend.children].indexOf(document.activeElement);
    legend.replaceChildren();
    this.data.classes.forEach((one, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.name = one.name;
      button.title = "Click to hide or show; double-click to show only this class";
      const open = !flat && one.symbol_3d.endsWith("-open");
      const glyph = flat ? one.symbol : one.symbol_3d.replace("-open", "");
      const svg = shape("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" }, button);
      shape(
        "path",
        {
          d: GLYPHS[glyph] ?? GLYPHS.circle,
          fill: open ? "none" : one.color,
          stroke: open ? one.color : "none",
          "stroke-width": 2,
        },
        svg,
      );
      button.append(`${one.name} ${this.members[i].length.toLocaleString("en")}`);
      button.setAttribute("aria-pressed", !this.hidden.has(one.name));
      button.onclick = () => this.toggle(one.name);
      button.ondblclick = () => this.only(one.name);
      legend.append(button);
    });
    const all = document.createElement("button");
    all.type = "button";
    all.className = "all";
    all.textContent = "Show all";
    all.hidden = !this.hidden.size;
    all.onclick = () => this.only(null);
    legend.append(all);
    if (focused >= 0) legend.children[focused]?.focus();
  }

  toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    this.showClasses();
  }

  only(name) {
    this.hidden = new Set(
      name === null ? [] : this.data.classes.map((one) => one.name).filter((one) => one !== name),
    );
    this.showClasses();
  }

  showClasses() {
    const { legend, plot } = this.parts;
    for (const button of legend.children) {
      if (button.dataset.name !== undefined)
        button.setAttribute("aria-pressed", !this.hidden.has(button.dataset.name));
      else button.hidden = !this.hidden.size;
    }
    const visible = this.data.classes.map((one) => !this.hidden.has(one.name));
    this.Plotly.restyle(plot, { visible }, [...visible.keys()]);
  }

  resetView() {
    if (!this.drawn) return;
    if (this.points.dimensions === 2) {
      const [x, y] = this.flatView();
      this.Plotly.relayout(this.parts.plot, { "xaxis.range": x, "yaxis.range": y });
    } else {
      this.Plotly.relayout(this.parts.plot, { "scene.camera": CAMERA });
    }
  }

  // Ranges that hold the points of every layer, with some room around them.
  flatView() {
    const { bounds } = this.points;
    const room = (EDGE_OF_VIEW - 1) * Math.max(0.1, ...bounds.map(([low, high]) => high - low));
    return bounds.map(([low, high]) => [low - room, high + room]);
  }

  // -- What the reader does ------------------------------------------------------------------------

  hear() {
    const { plot, card } = this.parts;
    plot.on("plotly_hover", ({ points }) => this.hover(points[0]));
    plot.on("plotly_unhover", () => (card.hidden = true));
    plot.on("plotly_click", ({ points }) => this.click(points[0]));
    plot.on("plotly_selected", (event) => this.enclose(event));
    plot.on("plotly_deselect", () => this.enclose({ points: [] }));
  }

  idOf(point) {
    const place = this.members[point?.curveNumber]?.[point.pointNumber];
    return place === undefined ? undefined : this.points.ids[place];
  }

  hover(point) {
    const id = this.idOf(point);
    const { card } = this.parts;
    if (id === undefined || this.playing || this.target !== undefined) {
      card.hidden = true;
      return;
    }
    const label = this.data.classes[this.about.labels[id]].name;
    const title = this.about.titles[id] || label;
    const [image, name, of] = card.children;
    const [before, after] = this.data.pictures;
    const source = this.about.pictures ? `${before}${this.about.pictures[id]}` : `${before}${id}${after}`;
    if (image.getAttribute("src") !== source) image.src = source;
    name.textContent = title;
    of.textContent = title === label ? "" : label;
    of.hidden = title === label;
    card.hidden = false;
    this.placeCard();
  }

  follow(event) {
    const box = this.parts.stage.getBoundingClientRect();
    this.mouse = {
      x: event.clientX - box.left,
      y: event.clientY - box.top,
      width: box.width,
      height: box.height,
    };
    if (!this.parts.card.hidden) this.placeCard();
  }

  placeCard() {
    const { card } = this.parts;
    const { x, y, width, height } = this.mouse ?? { x: 0, y: 0, width: 400, height: 400 };
    const { offsetWidth, offsetHeight } = card;
    const left = x + 18 + offsetWidth > width ? x - 18 - offsetWidth : x + 18;
    const top = Math.min(Math.max(6, y - offsetHeight / 2), height - offsetHeight - 6);
    card.style.transform = `translate(${Math.max(6, left).toFixed(0)}px, ${top.toFixed(0)}px)`;
  }

  click(point) {
    const id = this.idOf(point);
    if (id === undefined || id === this.data.picked) return;
    this.clicked = id;
    this.draw();
    this.send("picked", id);
  }

  enclose(event) {
    // Plotly also says that nothing is enclosed any more when drawing takes the outline away.
    if (this.drawing) return;
    const ids = (event?.points ?? []).map((point) => this.idOf(point)).filter((id) => id !== undefined);
    if (!ids.length && !this.selected.size) return;
    this.selected = new Set(ids);
    const text = pack([...this.selected].sort((a, b) => a - b));
    if (text !== this.servedSelection) this.send("selected", text);
    this.servedSelection = text;
    // The outline stays behind when the points move, so it goes.
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
