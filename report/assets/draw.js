// SPDX-License-Identifier: Apache-2.0
// Drawing. Only what is in view is drawn, and what is too dense is drawn as one.

const AXIS = 48;    // height of the axis above the lanes, with the flag of the focus
const FLAG = 20;    // height of the flag
const CLOSE = 15;   // marks that are closer than so many pixels become one
const WALL = 4;     // more of these side by side become one, too

// STATE_COLOURS are the names of the colours of the states of sockets (tcp(7)).
const STATE_COLOURS = {
  LISTEN: "listen", SYN_SENT: "opening", SYN_RECV: "opening", ESTABLISHED: "open", FIN_WAIT1: "closing", FIN_WAIT2: "closing",
  CLOSING: "closing", CLOSE_WAIT: "closewait", LAST_ACK: "closing", TIME_WAIT: "timewait", CLOSE: "closed",
};

const MOST_COUNTS = 6; // numbers that a text tells

// descriptorsBetween says how many descriptors a process was seen to have in that time.
function descriptorsBetween(process, from, until) {
  const all = (process.descriptors || []).filter((d) => d.at_ns >= from && d.at_ns <= until);
  if (!all.length) return "";
  const told = all.slice(-MOST_COUNTS).map((d) => `${d.count} at ${formatTime(d.at_ns, 1e3)}`);
  return `\ndescriptors: ${all.length > MOST_COUNTS ? "… " : ""}${told.join(", ")}`;
}

class Painter extends Brush {
  paint() {
    const { c, picture } = this;
    this.hits = [];
    this.places = [];
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.fillStyle = this.colour.ground;
    c.fillRect(0, 0, this.width, this.height);
    c.textBaseline = "middle";
    this.from = this.view.time(-60);
    this.to = this.view.time(this.width + 60);
    this.ticks = this.view.ticks(110);
    this.seen = this.layout.placed.filter((l) => this.y(l) < this.height && this.y(l) + l.height > AXIS);

    c.save();
    c.beginPath();
    c.rect(0, AXIS, this.width, this.height);
    c.clip();
    for (const lane of this.seen) this.ground(lane);
    this.pauses();
    this.grid();
    this.bands();
    this.forks();
    for (const lane of this.seen) this.lane(lane);
    this.rulers();
    c.restore();
    this.axis();
    if (picture.pointer) this.crosshair(picture.pointer.x);
  }

  y(lane) { return AXIS + lane.top - this.picture.scrollTop; }

  // ground is what is behind a lane.
  ground(lane) {
    const y = this.y(lane);
    if (lane.kind === "header") this.rect(0, y, this.width, lane.height, this.colour.header);
    if (lane.kind === "section") this.rect(0, y, this.width, lane.height, this.colour.section);
    if (lane === this.picture.selectedLane) this.rect(0, y, this.width, lane.height, this.colour.chosen);
    this.line(0, y + lane.height - 0.5, this.width, y + lane.height - 0.5, this.colour.line);
  }

  grid() {
    for (const tick of this.ticks) this.line(Math.round(tick.x) + 0.5, AXIS, Math.round(tick.x) + 0.5, this.height, this.colour.grid);
    for (const t of [0, this.model.length]) {
      const x = Math.round(this.view.x(t)) + 0.5;
      this.line(x, AXIS, x, this.height, this.colour.edge);
    }
  }

  pauses() {
    for (const { from, to } of this.view.pauses()) this.rect(from + 4, AXIS, to - from - 8, this.height, this.colour.pause);
  }

  // bands shade what faults and storms touch: the lanes of their hosts, and their connections. Where
  // several hold at once, the shade is that of one.
  bands() {
    for (const kind of ["fault", "storm"]) {
      if (this.picture.filters.hiddenKinds.has(kind)) continue;
      const spans = this.model.spans.filter((s) => s.kind === kind && this.view.x(this.model.endOf(s)) >= 0 && this.view.x(s.began_ns) <= this.width);
      spans.sort((a, b) => a.began_ns - b.began_ns);
      for (const lane of this.seen) {
        if (lane.group === "rig") continue;
        let shaded = -1;
        for (const s of spans) {
          if (this.touches(s, lane)) shaded = this.band(s, lane, shaded);
        }
      }
    }
  }

  // band shades a lane from where it is not shaded yet, and returns up to where it then is.
  band(span, lane, shaded) {
    const x = this.view.x(span.began_ns), end = Math.max(this.view.x(this.model.endOf(span)), x + 2), y = this.y(lane);
    const left = Math.max(x, shaded);
    if (end > left) this.rect(left, y, end - left, lane.height, this.colour[`${span.kind}-band`]);
    this.line(x, y, x, y + lane.height, this.colour[span.kind], 1, [3, 3]);
    if (span.ended_ns) this.line(end, y, end, y + lane.height, this.colour[span.kind], 1, [3, 3]);
    return Math.max(end, shaded);
  }

  touches(span, lane) {
    const about = (host) => span.hosts.includes(host);
    if (!span.hosts.length || lane.group.startsWith("host ") && about(lane.group.slice(5))) return true;
    const [c] = lane.items;
    return lane.kind === "connection" && (about(c.client.host) || about(c.server.host));
  }

  // forks are the lines from a process to its children.
  forks() {
    const { c } = this;
    for (const p of this.model.processes) {
      const parent = this.layout.processLanes.get(p.parent), child = this.layout.processLanes.get(p.id);
      if (!parent || !child || parent === child || parent.hidden || child.hidden) continue;
      const x = this.view.x(p.began_ns);
      const y = this.y(parent) + PROCESS / 2, to = this.y(child) + PROCESS / 2;
      if (x < -5 || x > this.width + 5 || to < AXIS || y > this.height) continue;
      c.strokeStyle = this.colour[this.layout.crowded.has(p.parent) ? "fork-many" : "fork"];
      c.lineWidth = 1.5;
      c.beginPath();
      c.moveTo(x - 7, y);
      c.quadraticCurveTo(x - 1, y, x - 1, y + 7);
      c.lineTo(x - 1, to);
      c.stroke();
    }
  }

  lane(lane) {
    const y = this.y(lane);
    this.elsewhere(lane, y);
    switch (lane.kind) {
      case "header":
      case "section":
        this.marks(lane.folded ? lane.all : lane.marks, y + lane.height / 2, true);
        break;
      case "span": this.spanLane(lane, y); break;
      case "process": this.processLane(lane, y); break;
      case "listener": this.side(lane.items[0], "server", y + 5); this.spots(lane.marks, y + 5 + BAR / 2); break;
      case "connection": this.connectionLane(lane, y); break;
    }
  }

  // elsewhere points from an edge to a lane's bars where none of them is in view.
  elsewhere(lane, y) {
    if (!lane.items.length) return;
    const ends = (one) => this.view.x(this.model.endOf(one)), begins = (one) => this.view.x(one.began_ns);
    const height = lane.kind === "process" ? PROCESS : lane.height;
    if (lane.items.every((one) => ends(one) < 0)) this.text("◂", 4, y + height / 2, 20, SANS, this.colour.quiet);
    else if (lane.items.every((one) => begins(one) > this.width)) this.text("▸", this.width - 13, y + height / 2, 20, SANS, this.colour.quiet);
  }

  spanLane(lane, y) {
    lane.items.forEach((s, i) => {
      if (this.picture.filters.hiddenKinds.has(s.kind)) return;
      const end = this.model.endOf(s);
      const failed = Boolean(s.error);
      const what = this.model.spanName(s);
      const lasted = s.ended_ns ? formatDuration(end - s.began_ns) : "until the end";
      const said = failed ? `failed after ${lasted} · ${what}: ${s.error}` : `${what} · ${lasted}`;
      const drawn = this.bar(s.began_ns, end, y + 4, lane.height - 8, this.colour[failed ? "failed-bar" : `${s.kind}-bar`], "",
        `${kindWord(s.kind)}: ${what}\n${lasted}${failed ? `\nfailed: ${s.error}` : ""}`, this.colour[failed ? "bad" : s.kind]);
      if (!drawn) return;
      const left = Math.max(drawn.left, 0) + 6, inside = Math.min(drawn.right, this.width) - left - 4;
      const room = (i + 1 < lane.items.length ? this.view.x(lane.items[i + 1].began_ns) : this.width) - drawn.right - 16;
      const beside = inside < Math.min(this.measure(said.slice(0, 300), SMALL), 200) && room > inside;
      this.text(said, beside ? drawn.right + 11 : left, y + lane.height / 2 + 0.5, beside ? room : inside, SMALL, this.colour[failed ? "bad-ink" : "ink"], beside);
    });
    this.spots(lane.marks, y + lane.height / 2);
  }

  // spots are events that stand at an end of a bar, which says what they are: only the pointer,
  // a ring, and a search find them.
  spots(events, y) {
    for (const group of this.clusters(events)) this.spot(group, y, 6);
  }

  processLane(lane, y) {
    const middle = y + PROCESS / 2;
    let limit = this.width; // of texts, where a word stands at the end of a bar
    for (const p of lane.items) {
      const end = this.model.endOf(p);
      const states = p.states && p.states.length ? p.states : [{ at_ns: p.began_ns, name: "runs" }];
      states.forEach((s, i) => {
        const until = i + 1 < states.length ? states[i + 1].at_ns : end;
        const kind = { zombie: "zombie", stopped: "stopped" }[s.name] || "runs";
        const had = descriptorsBetween(p, i ? s.at_ns : 0, until);
        const title = `${p.name} [${p.pid}] on ${p.host}\n${s.name} from ${formatTime(s.at_ns, 1e3)} to ${formatTime(until, 1e3)}${had}${p.exit ? `\n${p.exit}` : ""}`;
        const drawn = this.bar(i ? s.at_ns : p.began_ns, until, middle - BAR / 2, BAR, this.colour[`${kind}-bar`], "", title, this.colour[`${kind}-edge`]);
        if (drawn && kind !== "runs") {
          this.hatch(drawn.left, middle - BAR / 2, drawn.right - drawn.left, BAR, this.colour[`${kind}-hatch`]);
          const right = Math.min(drawn.right, this.width) - 8;
          if (this.boxed(s.name, right, middle, right - Math.max(drawn.left, 0) - 30)) limit = right - 60;
        }
      });
    }
    this.descriptors(lane.items, middle + BAR / 2 - 2, BAR - 5);
    this.marks(lane.marks, middle, true, SMALL, limit);
    if (!this.picture.filters.hiddenKinds.has("output")) this.marks(lane.words, y + PROCESS + WORDS / 2 - 2, true, MONO);
  }

  // descriptors draws how many descriptors the processes were seen to have, as a line in their bars.
  descriptors(processes, y, height) {
    const most = Math.max(1, ...processes.flatMap((p) => (p.descriptors || []).map((d) => d.count)));
    for (const p of processes) {
      let before = null;
      (p.descriptors || []).forEach((d, i, all) => {
        const x = this.view.x(d.at_ns), end = this.view.x(i + 1 < all.length ? all[i + 1].at_ns : this.model.endOf(p));
        const level = y - height * d.count / most;
        if (end >= 0 && x <= this.width) {
          if (before !== null) this.line(x, before, x, level, this.colour.quiet);
          this.line(Math.max(x, 0), level, Math.min(end, this.width), level, this.colour.quiet);
        }
        before = level;
      });
    }
  }

  // side draws the states of one side of a connection.
  side(connection, which, y) {
    const end = connection[which];
    const where = `${end.host || "no host"} ${end.address}`;
    const states = end.states || [], until = (i) => (i < states.length ? states[i].at_ns : this.model.endOf(connection));
    if (until(0) > connection.began_ns) this.unknown(connection.began_ns, until(0), y, where);
    states.forEach((s, i) => {
      if (s.name === "gone") return;
      const name = STATE_COLOURS[s.name] || "closed";
      this.bar(s.at_ns, until(i + 1), y, BAR, this.colour[`${name}-bar`], s.name,
        `${where}\n${s.name} from ${formatTime(s.at_ns, 1e3)} to ${formatTime(until(i + 1), 1e3)}`, this.colour[`${name}-edge`]);
    });
  }

  // unknown draws the time in which the state of a socket was not seen.
  unknown(from, to, y, where) {
    const x = Math.max(this.view.x(from), -10), end = Math.min(this.view.x(to), this.width + 10);
    if (end < x) return;
    for (const edge of [y + 1.5, y + BAR - 1.5]) this.line(x, edge, end, edge, this.colour.edge, 1, [3, 3]);
    this.places.push({ x, y, width: end - x, height: BAR, title: `${where}\nits state was not seen` });
    const left = Math.max(x, 0) + 6;
    if (Math.min(end, this.width) - left > 110) this.text("state not seen", left, y + BAR / 2 + 0.5, 100, SMALL, this.colour.quiet);
  }

  connectionLane(lane, y) {
    const [connection] = lane.items;
    if (!connection.other) {
      this.side(connection, "client", y + 5);
      this.side(connection, "server", y + lane.height - 6 - BAR);
    }
    if (!this.picture.filters.hiddenKinds.has("packet")) this.arrows(lane, y);
    const client = lane.marks.filter((e) => e.host === connection.client.host);
    const server = lane.marks.filter((e) => e.host !== connection.client.host);
    this.spots(client, y + 5 + BAR / 2);
    this.spots(server, y + lane.height - 6 - BAR / 2);
  }

  // arrows draws the packets of a connection, from the side that sent them to the other one.
  arrows(lane, y) {
    const ends = this.layout.ends(lane);
    const first = firstAtLeast(lane.arrows, this.from, (e) => e.at), last = firstAtLeast(lane.arrows, this.to, (e) => e.at);
    const drawn = [];
    const crowds = {}; // the last arrow of each look
    for (let i = Math.max(first - 8, 0); i < last; i++) { // some before may arrive in view
      const e = lane.arrows[i];
      const side = this.layout.sides.get(e);
      const x = this.view.x(e.at);
      const special = this.isSpecial(e);
      const look = [side, e.packet.took < 0, ...["lost", "retransmission"].map((mark) => e.packet.marks.includes(mark))].join();
      if (crowds[look] && x - crowds[look].x < 2 && !special) { // one line for all that cannot be told apart
        crowds[look].events.push(e);
        continue;
      }
      const arrow = { e, events: [e], side, x, y: y + ends[side] + (side === "client" ? 1 : -1), to: this.view.x(e.arrives ?? e.at), toY: y + ends[side === "client" ? "server" : "client"] + (side === "client" ? -1 : 1) };
      if (e.packet.took < 0) { // not seen to arrive
        arrow.to = x + 12;
        arrow.toY = arrow.y + (arrow.toY - arrow.y) * 0.6;
      }
      crowds[look] = arrow;
      drawn.push(arrow);
    }
    for (const arrow of drawn) this.arrow(arrow);
    this.arrowLabels(drawn, lane);
  }

  arrow({ e, events, x, y, to, toY }) {
    const { c } = this;
    const p = e.packet, colour = this.fade(this.colour[packetClass(p)], e);
    const again = p.marks.includes("retransmission");
    this.line(x, y, to, toY, colour, events.length > 1 ? 2 : 1.4, again ? [4, 3] : []);
    if (p.took < 0) {
      if (p.marks.includes("lost")) drawMark(c, "exit", to, toY, this.colour.bad, this.colour.ground);
    } else {
      const angle = Math.atan2(toY - y, to - x);
      c.save();
      c.translate(to, toY);
      c.rotate(angle);
      c.fillStyle = colour;
      polygon(c, [0, 0, -7, 3.5, -7, -3.5]);
      c.restore();
    }
    if (this.isSpecial(e)) this.ring(x, y, 6, e);
    this.hits.push({ x, y, toX: to, toY, events });
  }

  // arrowLabels writes beside the begin of an arrow what it is, where there is room.
  arrowLabels(arrows, lane) {
    const near = lane.height < 2 * BAR + ARROWS ? 8 : 12;
    arrows.forEach((a, i) => {
      const down = a.side === "client";
      const share = near / Math.max(Math.abs(a.toY - a.y), 1);
      const x = a.x + (a.to - a.x) * share + 5;
      const y = a.y + (down ? near - 1 : 1 - near);
      let limit = this.width;
      for (let j = i + 1; j < Math.min(arrows.length, i + 6); j++) { // where the next one is at this height
        const b = arrows[j];
        limit = Math.min(limit, b.side === a.side ? b.x + (b.to - b.x) * share : b.x + (b.to - b.x) * (1 - share));
      }
      const { length } = a.events;
      const labels = length > 1 ? [`${length} packets`, `×${length}`] : [packetLabel(a.e.packet), packetLabel({ ...a.e.packet, marks: [] })];
      const label = labels.find((t) => x + this.measure(t, SMALL) + 3 < limit);
      if (label && x > -4) this.text(label, x, y, limit - x, SMALL, this.fade(this.colour[`${packetClass(a.e.packet)}-ink`], a.e), true);
    });
  }

  // clusters are the events in view, those that are closer than CLOSE in one.
  clusters(events) {
    const all = [];
    let last = null;
    for (let i = firstAtLeast(events, this.from, (e) => e.at); i < events.length && events[i].at <= this.to; i++) {
      const e = events[i];
      if (!this.picture.shows(e)) continue;
      const x = this.view.x(e.at);
      if (last && x - last.x < CLOSE) last.events.push(e); else all.push(last = { x, events: [e] });
    }
    return all;
  }

  // merge makes one of several clusters where they stand side by side like a wall, so that there is
  // room for their numbers.
  merge(clusters) {
    const all = [];
    for (let i = 0; i < clusters.length;) {
      let end = i + 1;
      while (end < clusters.length && clusters[end].x - clusters[end - 1].x < 2 * CLOSE) end++;
      const step = end - i > WALL ? WALL : 1;
      for (; i < end; i += step) {
        const some = clusters.slice(i, Math.min(i + step, end));
        all.push({ x: some[0].x, end: some.at(-1).x, events: some.flatMap((one) => one.events) });
      }
      i = end;
    }
    return all;
  }

  spot({ x, end = x, events }, y, radius) {
    const special = events.find((e) => this.isSpecial(e));
    if (special) this.ring(special === events[0] ? x : this.view.x(special.at), y, radius + 2, special);
    this.hits.push(end > x ? { x, y, toX: end, toY: y, events } : { x, y, radius: radius + 3, events });
  }

  // marks draws a row of events, with a text beside each where there is room.
  marks(events, y, texts, font = SMALL, limit = this.width) {
    const groups = this.merge(this.clusters(events));
    groups.forEach((group, i) => {
      const { x } = group;
      if (group.end > x) this.line(x, y + 8, group.end + 6, y + 8, this.colour.edge, 2);
      const e = group.events.find((one) => this.isSpecial(one)) || gravest(group.events);
      const { kind } = e;
      this.spot(group, y, 8);
      drawMark(this.c, kind, x, y, this.fade(this.markColour(kind, e), ...group.events), this.colour.ground);
      const room = (i + 1 < groups.length ? Math.min(groups[i + 1].x - 10, x < limit ? limit : this.width) : x < limit ? limit : this.width) - x - 11;
      if (group.events.length > 1) {
        const count = `×${group.events.length}`;
        const width = this.measure(count, BOLD);
        if (room > width) this.text(count, x + 9, y + 0.5, room, BOLD, this.colour.ink, true);
        if (texts && room > width + 60 && x > -6) this.text(e.text, x + 14 + width, y + 0.5, room - width - 5, font, this.fade(this.colour.ink2, e), true);
      } else if (texts && room > 24 && x > -6) {
        this.text(e.text, x + (this.isSpecial(e) ? 13 : 11), y + 0.5, room - 2, font, this.fade(e.id === this.model.focus ? this.colour["focus-ink"] : this.colour.ink, e), true);
      }
    });
  }

  markColour(kind, e) {
    if (kind === "exit" && !/\bsignal\b|\bkilled\b|\bSIG|status [1-9]/.test(e.text)) return this.colour.quiet;
    return this.colour[`mark-${kind}`];
  }

  // rulers are the lines through all lanes at the focus and at the selected event.
  rulers() {
    const { focusEvent } = this.model, { selected } = this.picture;
    if (focusEvent) {
      const x = Math.round(this.view.x(focusEvent.at)) + 0.5;
      this.line(x, AXIS, x, this.height, this.colour.focus, 1.5);
    }
    if (selected && selected !== focusEvent) {
      const x = Math.round(this.view.x(selected.at)) + 0.5;
      this.line(x, AXIS, x, this.height, this.colour.accent, 1.2, [5, 4]);
    }
  }

  axis() {
    const { c } = this;
    this.rect(0, 0, this.width, AXIS, this.colour.axis);
    this.line(0, AXIS - 0.5, this.width, AXIS - 0.5, this.colour.edge);
    const y = FLAG + (AXIS - FLAG) / 2;
    const pauses = this.view.pauses();
    for (const { from, to, text } of pauses) {
      const width = this.measure(text, SMALL) + 8, middle = (from + to) / 2;
      this.line(from + 4, AXIS - 5, to - 4, AXIS - 5, this.colour.quiet, 2, [2, 4]);
      if (width < to - from - 8 && middle > 0 && middle < this.width) {
        this.rect(middle - width / 2, AXIS - 11, width, 11, this.colour.axis);
        this.text(text, middle - width / 2 + 4, AXIS - 5, width, SMALL, this.colour.ink2);
      }
    }
    for (const { x, text } of this.ticks) {
      this.line(Math.round(x) + 0.5, FLAG + 2, Math.round(x) + 0.5, AXIS, this.colour.edge);
      if (x + 4 + this.measure(text, SMALL) < this.width) this.text(text, x + 4, y - 5, 106, SMALL, this.colour.ink);
    }
    this.flag();
    c.lineWidth = 1;
  }

  // flag says above the lanes where it went wrong; beyond the edge it points there.
  flag() {
    const { focusEvent } = this.model;
    this.flagBox = null;
    if (!focusEvent) return;
    const x = this.view.x(focusEvent.at);
    const off = x < 0 ? "◀ " : x > this.width ? " ▶" : "";
    const words = [this.picture.focusWords, focusEvent.text.slice(0, 200)].filter(Boolean).join(": ");
    const text = off === "◀ " ? off + words : words + off;
    const width = Math.min(this.measure(text, BOLD) + 16, this.width * (this.width < 600 ? 0.97 : 0.6));
    const left = Math.min(Math.max(x - width / 2, 2), this.width - width - 2);
    const { c } = this;
    c.fillStyle = this.colour.flag;
    c.beginPath();
    c.roundRect(left, 1, width, FLAG - 3, 4);
    c.fill();
    if (!off) this.line(x, FLAG - 2, x, AXIS, this.colour.focus, 1.5);
    this.text(text, left + 8, FLAG / 2, width - 14, BOLD, this.colour["flag-ink"]);
    this.flagBox = { x: left, y: 0, width, height: FLAG };
  }

  crosshair(x) {
    const time = this.view.time(x);
    if (time < 0 || time > this.model.length) return;
    this.line(x, AXIS, x, this.height, this.colour.edge, 1, [2, 3]);
    const near = Math.abs(this.view.time(x + 2) - time);
    const text = formatTime(time, near || 1), width = this.measure(text, BOLD) + 10;
    const left = Math.min(Math.max(x - width / 2, 0), this.width - width);
    this.rect(left, FLAG + 1, width, 16, this.colour.ink);
    this.text(text, left + 5, FLAG + 9.5, width, BOLD, this.colour.ground);
  }
}
