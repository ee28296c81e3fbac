// SPDX-License-Identifier: Apache-2.0
// A picture of one recording: it holds what is seen, and all parts ask it.

const SCALE_OF_EVENT = 6; // pixels for one place below which an event that is shown is zoomed to

class Picture {
  constructor(root, data, number, alone) {
    this.root = root;
    root.dataset.verdict = data.outcome.verdict || "";
    this.number = number;
    this.alone = alone; // it is the only one of the page
    this.model = new Model(data);
    this.layout = new Layout(this.model);
    this.timeline = new Timeline(this.model.times());
    this.view = new View(this.timeline);
    this.filters = { hiddenKinds: new Set(), hiddenHosts: new Set(), connection: 0 };
    this.folded = this.layout.firstFolded();
    this.selected = this.selectedLane = this.found = this.pointer = null;
    this.scrollTop = 0;
    this.onlyInView = false;
    this.draws = { count: 0, longest: 0, last: 0 };
    const wrong = { fail: "It went wrong here", broken: "It broke here", warn: "The warning is about this" };
    this.focusWords = wrong[this.model.outcome.verdict] || "Look here";
    this.focusButton = this.model.outcome.verdict === "fail" ? "Where it went wrong" : "Focus";
    this.build();
    this.arrange();
    this.first();
    new ResizeObserver(() => this.resized()).observe(this.chart);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.themeChanged());
  }

  build() {
    const { model } = this;
    this.canvas = el("canvas", { class: "lanes", "aria-hidden": "true" });
    this.gutter = el("div", { class: "gutter" });
    this.stage = el("div", { class: "stage", tabindex: "0", role: "application", "aria-roledescription": "timeline",
      "aria-label": `Picture of ${model.name || "a recording"}: ${model.events.length} events on ${model.hosts.length} hosts. Arrow keys go from event to event. The table below has the same.`,
      onscroll: () => { this.scrollTop = this.stage.scrollTop; this.draw(); } }, this.gutter, this.canvas);
    this.strip = el("canvas", { class: "overview", "aria-hidden": "true", title: "The whole recording: drag to move" });
    this.chart = el("div", { class: "chart" }, el("span", { class: "whole-strip" }, "Whole recording"), this.strip, this.stage);
    this.tipBox = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.live = el("div", { class: "unseen", "aria-live": "polite" });
    this.painter = new Painter(this, this.canvas);
    this.overview = new Overview(this, this.strip);
    this.controls = new Controls(this);
    this.panel = new Panel(this);
    this.table = new EventTable(this);
    this.root.replaceChildren(this.controls.bar, this.controls.help, this.controls.legend,
      el("div", { class: "body" }, this.chart, this.panel.node), this.table.node, this.table.paper, this.tipBox, this.live);
    this.input = new Input(this);
  }

  // arrange places the lanes anew, and their names beside them.
  arrange() {
    const span = this.onlyInView ? { from: this.view.time(0), to: this.view.time(this.view.width) } : {};
    const placed = this.layout.arrange({ folded: this.folded, ...this.filters, ...span });
    this.arranged = `${this.view.start} ${this.view.scale}`;
    const names = placed.map((lane) => this.laneName(lane));
    this.gutter.replaceChildren(el("div", { class: "corner" }, "Hosts, processes, connections"), ...names);
    this.gutter.style.height = `${AXIS + this.layout.height}px`;
    this.resized();
  }

  setOnlyInView(only) {
    this.onlyInView = only;
    this.controls.showLanes();
    this.rearrange();
  }

  // rearrange arranges the lanes for what is in view, and keeps that of the selected event, or else of
  // the focus, where it is on the screen.
  rearrange() {
    const e = this.selected || this.model.focusEvent;
    const lane = e && this.layout.visibleLane(e), before = lane && lane.top - this.scrollTop;
    this.arrange();
    const now = e && this.layout.visibleLane(e);
    if (lane && now) this.stage.scrollTop = now.top - before;
    this.scrollTop = this.stage.scrollTop; // it has bounds
    this.drawNow();
  }

  laneName(lane) {
    const node = el("div", { class: `name ${lane.kind}`, title: lane.title || undefined });
    node.style.top = `${AXIS + lane.top}px`;
    node.style.height = `${lane.height}px`;
    node.style.setProperty("--depth", lane.depth);
    const key = lane.kind === "header" ? lane.group : lane.key;
    if (lane.kind === "header" || lane.kind === "section") {
      node.append(el("button", { type: "button", "aria-expanded": String(!lane.folded), onclick: () => this.fold(key) },
        el("span", { class: "arrow", "aria-hidden": "true" }, lane.folded ? "▸" : "▾"), el("b", {}, lane.label), el("small", {}, lane.note)));
    } else if (lane.kind === "connection" && !lane.items[0].other) {
      const [c] = lane.items;
      node.append(...["client", "server"].map((side) => el("span", { class: side }, el("b", {}, c[side].host || "?"), el("small", {}, c[side].address))), el("i", {}, lane.label));
    } else if (lane.kind === "listener") {
      node.append(el("span", {}, "listens on "), el("small", {}, lane.items[0].server.address));
    } else if (lane.label) {
      node.append(el("span", {}, lane.label), el("small", {}, lane.note));
    }
    return node;
  }

  fold(key) {
    if (!this.folded.delete(key)) this.folded.add(key);
    this.arrange();
    const button = this.gutter.querySelectorAll("button")[this.foldKeys().indexOf(key)];
    if (button) button.focus({ preventScroll: true });
  }

  foldKeys() {
    return this.layout.placed.filter((l) => l.kind === "header" || l.kind === "section").map((l) => (l.kind === "header" ? l.group : l.key));
  }

  resized() {
    const width = Math.max(this.chart.clientWidth - this.gutter.offsetWidth - 1, 50);
    const content = AXIS + this.layout.height;
    const room = this.paperHeight || Math.max(340, window.innerHeight * 0.74);
    const height = Math.min(content, room);
    this.stage.style.height = `${height}px`;
    const inner = Math.max(this.stage.clientWidth - this.gutter.offsetWidth, 50);
    if (this.view.width !== inner) {
      const middle = this.view.start + this.view.width / this.view.scale / 2;
      const first = this.view.width === 1;
      this.view.width = inner;
      if (!first) this.view.start = middle - inner / this.view.scale / 2;
      this.view.keep();
    }
    this.scrollTop = this.stage.scrollTop;
    this.painter.resize(inner, height);
    this.overview.resize(width);
    this.drawNow();
  }

  // first shows the focus in the middle or, without one, everything.
  first() {
    if (this.model.focusEvent) this.showFocus(); else this.fit();
  }

  fit() {
    this.view.fit();
    this.draw();
  }

  showFocus() {
    const e = this.model.focusEvent;
    if (!e) return;
    this.reveal(e);
    this.view.around(e.at);
    this.scrollTo(e);
    this.draw();
  }

  centre(e) {
    this.reveal(e);
    if (this.timeline.story && this.view.scale < SCALE_OF_EVENT) this.view.scale = SCALE_OF_EVENT;
    this.view.centre(e.at);
    this.scrollTo(e);
    this.draw();
  }

  // reveal unfolds what an event is in.
  reveal(e) {
    const lane = this.layout.laneOfEvent.get(e);
    if (!lane.hidden) return;
    if (this.folded.delete(lane.group) | this.folded.delete(lane.section)) this.arrange();
    if (lane.hidden && this.onlyInView) this.setOnlyInView(false);
  }

  scrollTo(e) {
    const lane = this.layout.visibleLane(e);
    if (!lane) return;
    const room = this.painter.height - AXIS;
    const top = lane.top + lane.height / 2 - room / 2;
    if (lane.top - this.scrollTop < room * 0.15 || lane.top + lane.height - this.scrollTop > room * 0.85) this.stage.scrollTop = top;
    this.scrollTop = this.stage.scrollTop;
  }

  zoom(factor, x = this.view.width / 2) {
    this.view.zoom(factor, x);
    this.draw();
  }

  pan(dx, dy) {
    this.view.start -= dx / this.view.scale;
    this.view.keep();
    if (dy) this.stage.scrollTop -= dy;
    this.draw();
  }

  setStory(story) {
    const { selected, focusEvent } = { selected: this.selected, focusEvent: this.model.focusEvent };
    const from = Math.max(this.view.time(0), 0), to = Math.min(this.view.time(this.view.width), this.model.length);
    const middle = [selected, focusEvent].find((e) => e && e.at >= from && e.at <= to);
    this.timeline.story = story;
    this.overview.still = null;
    this.view.scale = this.view.width / Math.max(this.timeline.place(to) - this.timeline.place(from), 1e-9);
    this.view.start = this.timeline.place(from);
    this.view.keep();
    if (middle && (this.view.x(middle.at) < 0 || this.view.x(middle.at) > this.view.width)) this.view.centre(middle.at);
    this.controls.showMode();
    this.draw();
  }

  // shows says whether the filters let an event be seen.
  shows(e) {
    const { hiddenKinds, hiddenHosts, connection } = this.filters;
    if (hiddenKinds.has(e.kind) || connection && e.connection && e.connection !== connection) return false;
    return !hiddenHosts.size || !hiddenHosts.has(this.layout.laneOfEvent.get(e).group.slice(5));
  }

  filtersChanged() {
    this.overview.still = null;
    this.arrange();
    this.controls.find();
    this.table.fill();
  }

  select(e, { show = false } = {}) {
    this.selected = e || null;
    if (e) {
      if (show) this.reveal(e);
      const x = this.view.x(e.at);
      if (show && (x < 40 || x > this.view.width - 40 || this.view.scale < 1 && this.timeline.story)) this.centre(e);
      this.scrollTo(e);
      this.live.textContent = `Event ${e.id}, ${kindWord(e.kind)}, ${formatTime(e.at, 1e3)}, ${[e.host, this.model.processName(e.process)].filter(Boolean).join(", ")}: ${e.packet ? packetLabel(e.packet) : ""} ${e.text.slice(0, 300)}`;
    }
    this.selectedLane = e ? this.layout.visibleLane(e) : null;
    this.panel.show(this.selected);
    this.table.mark(this.selected);
    this.controls.showCount();
    setHash(e ? this.hashOf(e) : "");
    this.draw();
  }

  // step selects the event that is so many after the selected one, or near the middle of the view.
  step(by) {
    const all = this.model.events.filter((e) => this.shows(e));
    if (!all.length) return;
    let i = this.selected ? all.indexOf(this.selected) + by : firstAtLeast(all, this.view.time(this.view.width / 2), (e) => e.at);
    if (Math.abs(by) === Infinity) i = by;
    i = Math.min(Math.max(i, 0), all.length - 1);
    this.select(all[i], { show: true });
  }

  // stepLane selects the event nearest in time in the next lane above or below that has any.
  stepLane(by) {
    const { placed } = this.layout;
    const at = this.selected ? this.selected.at : this.view.time(this.view.width / 2);
    let i = this.selected ? placed.indexOf(this.layout.visibleLane(this.selected)) : by > 0 ? -1 : placed.length;
    for (i += by; i >= 0 && i < placed.length; i += by) {
      const lane = placed[i], events = (lane.folded || !/header|section/.test(lane.kind) ? lane.all : lane.marks).filter((e) => this.shows(e));
      if (!events.length) continue;
      const after = firstAtLeast(events, at, (e) => e.at);
      const near = [events[after - 1], events[after]].filter(Boolean).sort((a, b) => Math.abs(a.at - at) - Math.abs(b.at - at))[0];
      this.select(near, { show: true });
      return;
    }
  }

  click(point) {
    const flag = this.painter.flagBox;
    if (flag && point.y < FLAG && point.x >= flag.x && point.x <= flag.x + flag.width) {
      this.showFocus();
      return;
    }
    const hit = point.y > AXIS ? this.painter.hit(point.x, point.y) : null;
    const events = hit && hit.events;
    if (!events) {
      this.select(null);
    } else if (events.length > 1 && events.includes(this.selected)) {
      this.select(events[(events.indexOf(this.selected) + 1) % events.length]);
    } else {
      this.select(events[0]);
    }
  }

  hover(point) {
    this.pointer = point;
    const hit = point && point.y > AXIS ? this.painter.hit(point.x, point.y) : null;
    this.canvas.classList.toggle("over", Boolean(hit && hit.events));
    this.tipBox.hidden = !hit;
    if (hit) {
      this.tipBox.textContent = this.panel.tip(hit);
      const box = this.canvas.getBoundingClientRect(), tip = this.tipBox.getBoundingClientRect();
      this.tipBox.style.left = `${Math.max(Math.min(box.left + point.x + 14, window.innerWidth - tip.width - 8), 4)}px`;
      const below = box.top + point.y + 16;
      this.tipBox.style.top = `${below + tip.height > window.innerHeight ? box.top + point.y - tip.height - 12 : below}px`;
    }
    this.draw();
  }

  openTable() {
    this.table.node.open = true;
    this.table.node.querySelector("summary").focus();
  }

  hashOf(e) { return this.alone ? `#e${e.id}` : `#r${this.number}e${e.id}`; }

  linkTo(e) {
    return el("a", { class: "link", href: this.hashOf(e), title: "A link to this event", onclick: (click) => {
      click.preventDefault();
      this.select(e, { show: true });
    } }, `#e${e.id}`);
  }

  themeChanged() {
    this.painter.readColours();
    this.overview.still = null;
    for (const old of this.root.querySelectorAll(".symbol")) old.replaceWith(symbol(old.dataset.kind, this.painter));
    this.drawNow();
  }

  // draw draws at the next frame, once.
  draw() {
    if (this.onlyInView && this.arranged !== `${this.view.start} ${this.view.scale}`) {
      clearTimeout(this.settling); // lanes come and go once the view is still
      this.settling = setTimeout(() => this.rearrange(), 250);
    }
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    const began = performance.now();
    this.painter.paint();
    this.overview.paint();
    const took = performance.now() - began;
    this.draws = { count: this.draws.count + 1, longest: Math.max(this.draws.longest, took), last: took };
  }
}
