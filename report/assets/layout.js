// SPDX-License-Identifier: Apache-2.0
// Lanes: which there are, what is in each, and where each stands from top to bottom.

const HEADER = 26;      // height of the lane with the name of a host
const SECTION = 22;     // and of that with the word Connections
const BAR = 16;         // height of the bar of a process, and of one side of a connection
const PROCESS = 26;     // height of the lane of a process
const WORDS = 17;       // what a process wrote stands below its bar
const SPAN = 24;        // height of the lane of faults, storms and waits
const ARROWS = 46;      // height of the room for arrows between the two sides of a connection
const FEW_ARROWS = 24;  // the same where a host has many connections
const FEW = 4;          // so many connections have no heading of their own
const MANY = 10;        // so many are many
const TOO_MANY = 24;    // so many connections are folded at first
const CROWD = 6;        // more children that are alike share lanes

const SPAN_LANES = [["fault", "Faults"], ["storm", "Storms of signals"], ["wait", "Waits"]];

// pack puts things into as few rows as there is need for, so that those of a row do not overlap.
function pack(things, start, end) {
  const rows = [];
  for (const one of [...things].sort((a, b) => start(a) - start(b))) {
    let row = rows.find((r) => r.end <= start(one));
    if (!row) rows.push(row = { items: [], end: 0 });
    row.items.push(one);
    row.end = end(one);
  }
  return rows.map((r) => r.items);
}

function groupBy(list, key) {
  const groups = new Map();
  for (const one of list) {
    const k = key(one);
    if (!groups.has(k)) groups.set(k, []);
    groups.get(k).push(one);
  }
  return groups;
}

// Layout has all lanes. A lane is an object with a kind, items, and events; arrange gives each lane
// that is to be seen a top and a height.
class Layout {
  constructor(model) {
    this.model = model;
    this.lanes = [];             // all, from top to bottom
    this.laneOfEvent = new Map();
    this.processLanes = new Map();
    this.connectionLanes = new Map();
    this.spanLanes = new Map();
    this.headers = new Map();    // of hosts, by name
    this.sides = new Map();      // of packets: who sent them
    this.crowded = new Set([...groupBy(model.processes, (p) => p.parent)].filter(([, children]) => children.length > CROWD).map(([id]) => id));
    this.build();
    this.assign();
  }

  lane(kind, group, fields) {
    const lane = { kind, group, section: "", items: [], marks: [], words: [], arrows: [], all: [], label: "", note: "", depth: 0, ...fields };
    this.lanes.push(lane);
    return lane;
  }

  build() {
    const { model } = this;
    this.rig = this.lane("header", "rig", { label: "Rig", note: "faults, waits, verdict" });
    for (const [kind, label] of SPAN_LANES) {
      const rows = pack(model.spans.filter((s) => s.kind === kind), (s) => s.began_ns, (s) => model.endOf(s));
      rows.forEach((items, i) => {
        const lane = this.lane("span", "rig", { label: i ? "" : label, items });
        for (const s of items) this.spanLanes.set(s.id, lane);
      });
    }
    const serves = (host) => model.connections.filter((c) => c.server.host === host && c.client.host !== host).length;
    const hosts = model.hosts.map((h) => h.name).sort((a, b) => serves(b) - serves(a) || a.localeCompare(b, "en", { numeric: true }));
    const byOwner = groupBy(model.connections, (c) => c.client.host || c.server.host || "");
    const others = groupBy(model.events.filter((e) => e.packet && !model.connectionByID.has(e.connection)),
      (e) => JSON.stringify([e.packet.from, e.packet.to].sort()));
    for (const name of hosts) this.buildHost(name, byOwner.get(name) || [], others);
    if (byOwner.has("")) this.buildConnections("rig", byOwner.get(""));
  }

  buildHost(name, connections, others) {
    const group = `host ${name}`;
    const processes = this.model.processes.filter((p) => p.host === name);
    const peers = (this.model.hosts.find((h) => h.name === name).interfaces || [])
      .flatMap((i) => (i.addresses || []).map((a) => a.split("/")[0]));
    this.headers.set(name, this.lane("header", group, { label: name, note: peers.join(", "), title: [name, ...peers].join("\n"), host: name }));
    this.buildProcesses(group, processes);
    this.buildConnections(group, connections);
    for (const [key, events] of others) {
      const [from, to] = JSON.parse(key);
      if (from !== name) continue;
      others.delete(key);
      const pair = { id: 0, client: { host: from, address: "" }, server: { host: to, address: "" }, began_ns: 0, ended_ns: 0, other: true };
      const lane = this.lane("connection", group, { label: "other packets", items: [pair] });
      for (const e of events) this.laneOfEvent.set(e, lane);
    }
  }

  // buildProcesses makes lanes in order of descent. Many children that are alike, such as workers,
  // share lanes.
  buildProcesses(group, processes) {
    const here = new Set(processes.map((p) => p.id)), seen = new Set();
    const children = groupBy(processes, (p) => (here.has(p.parent) ? p.parent : 0));
    const add = (items, depth) => {
      const [p] = items;
      const lane = this.lane("process", group, { items, depth, label: p.name, note: items.length > 1 ? `${items.length} processes` : `[${p.pid}]`, title: p.command });
      for (const one of items) this.processLanes.set(one.id, lane);
    };
    const descend = (parent, depth) => {
      for (const alike of groupBy(children.get(parent) || [], (p) => p.name).values()) {
        const fresh = alike.filter((p) => !seen.has(p.id));
        fresh.forEach((p) => seen.add(p.id)); // a process that descends from itself ends here
        if (fresh.length > CROWD && !fresh.some((p) => children.has(p.id))) {
          pack(fresh, (p) => p.began_ns, (p) => this.model.endOf(p)).forEach((items) => add(items, depth));
          continue;
        }
        for (const p of fresh) {
          add([p], depth);
          descend(p.id, Math.min(depth + 1, 4));
        }
      }
    };
    descend(0, 0);
    for (const p of processes) { // those of a circle
      if (!seen.has(p.id)) {
        seen.add(p.id);
        add([p], 0);
      }
    }
  }

  buildConnections(group, connections) {
    if (!connections.length) return;
    const section = `${group} connections`;
    const listeners = connections.filter((c) => !c.client.address), others = connections.filter((c) => c.client.address);
    for (const c of listeners) this.connectionLanes.set(c.id, this.lane("listener", group, { items: [c], label: "listener" }));
    const headed = others.length > FEW;
    if (headed) this.lane("section", group, { label: `Connections (${others.length})`, key: section, count: others.length });
    for (const c of others) {
      this.connectionLanes.set(c.id, this.lane("connection", group, { items: [c], many: others.length > MANY, section: headed ? section : "", label: `#${c.id}` }));
    }
  }

  // assign gives each event the lane that it is drawn in.
  assign() {
    const section = new Map(this.lanes.filter((l) => l.kind === "section").map((l) => [l.key, l]));
    for (const e of this.model.events) {
      const lane = this.laneOfEvent.get(e) || this.laneFor(e);
      this.laneOfEvent.set(e, lane);
      if (e.packet && lane.kind === "connection") {
        this.sides.set(e, this.sender(e, lane.items[0]));
        lane.arrows.push(e);
      } else if (lane.kind === "process" && e.kind === "output") {
        lane.words.push(e);
      } else {
        lane.marks.push(e);
      }
      lane.all.push(e);
      if (lane.section) section.get(lane.section).all.push(e);
      const header = lane.host === undefined && lane.group.startsWith("host ") ? this.headers.get(lane.group.slice(5)) : lane.kind === "header" ? null : this.rig;
      if (header) header.all.push(e);
    }
  }

  laneFor(e) {
    const connection = this.connectionLanes.get(e.connection);
    if (e.packet && connection && connection.kind === "connection") return connection;
    if (e.kind === "socket" && connection) return connection;
    return this.spanLanes.get(e.span) || this.processLanes.get(e.process) || connection || this.headers.get(e.host) || this.rig;
  }

  // sender says which side of a connection sent a packet. On the loopback both are the same host,
  // and the text tells: the sender is named first.
  sender(e, c) {
    const { from, to, flags } = e.packet;
    if (from !== to) return from === c.client.host ? "client" : "server";
    if (/\bSYN\b/.test(flags)) return /\bACK\b/.test(flags) ? "server" : "client";
    const client = e.text.indexOf(c.client.address), server = e.text.indexOf(c.server.address);
    return client >= 0 && server >= 0 && server < client ? "server" : "client";
  }

  // firstFolded are the sections with too many connections, but for the one with the focus.
  firstFolded() {
    const focus = this.model.focusEvent && this.laneOfEvent.get(this.model.focusEvent);
    return new Set(this.lanes.filter((l) => l.kind === "section" && l.count > TOO_MANY && !(focus && focus.section === l.key)).map((l) => l.key));
  }

  // arrange places the lanes that are to be seen, and returns them. Where from and to are times,
  // only lanes in which something happens between them are to be seen.
  arrange({ folded, hiddenHosts, hiddenKinds, connection, from, to }) {
    let top = 0;
    this.placed = [];
    for (const lane of this.lanes) {
      lane.hidden = this.isHidden(lane, { folded, hiddenHosts, hiddenKinds, connection });
      if (from !== undefined && lane.kind !== "header" && lane.kind !== "section") lane.hidden ||= !this.happens(lane, from, to);
      if (lane.hidden) continue;
      lane.folded = folded.has(lane.kind === "header" ? lane.group : lane.key);
      if (lane.kind === "header") top += this.placed.length ? 6 : 0;
      lane.top = top;
      lane.height = this.heightOf(lane, hiddenKinds);
      top += lane.height;
      this.placed.push(lane);
    }
    this.height = top + 8;
    return this.placed;
  }

  happens(lane, from, to) {
    const i = firstAtLeast(lane.all, from, (e) => e.at);
    return i < lane.all.length && lane.all[i].at <= to;
  }

  isHidden(lane, { folded, hiddenHosts, hiddenKinds, connection }) {
    const host = lane.group.startsWith("host ") ? lane.group.slice(5) : null;
    if (host !== null && hiddenHosts.has(host)) return true;
    if (lane.kind === "header") return false;
    if (folded.has(lane.group)) return true;
    if (lane.kind === "span") return lane.items.every((s) => hiddenKinds.has(s.kind));
    if (lane.kind === "section") return Boolean(connection);
    if (lane.kind === "connection" || lane.kind === "listener") {
      if (connection) return lane.items[0].id !== connection;
      return folded.has(lane.section) || lane.items[0].other && hiddenKinds.has("packet");
    }
    return false;
  }

  heightOf(lane, hiddenKinds) {
    switch (lane.kind) {
      case "header": return HEADER;
      case "section": return SECTION;
      case "span": return SPAN;
      case "listener": return BAR + 10;
      case "process": return PROCESS + (lane.words.length && !hiddenKinds.has("output") ? WORDS : 0);
    }
    if (hiddenKinds.has("packet")) return 2 * BAR + 12;
    return 2 * BAR + (lane.many ? FEW_ARROWS : ARROWS) + 12;
  }

  // visibleLane is the lane in which an event is seen: its own, or the folded one that stands for it.
  visibleLane(e) {
    const lane = this.laneOfEvent.get(e);
    if (!lane.hidden) return lane;
    return this.placed.find((l) => l.kind === "section" && l.folded && l.key === lane.section) ||
      this.placed.find((l) => l.kind === "header" && l.folded && l.group === lane.group) || null;
  }

  // ends are the heights, within the lane of a connection, of the edges that arrows touch.
  ends(lane) { return { client: 5 + BAR, server: lane.height - 6 - BAR }; }

  // yOf is the height of an event within the lane in which it is seen.
  yOf(e, lane) {
    if (lane.kind === "connection") {
      const side = e.packet ? this.sides.get(e) : e.host === lane.items[0].client.host ? "client" : "server";
      if (e.packet) return this.ends(lane)[side];
      return side === "client" ? 5 + BAR / 2 : lane.height - 6 - BAR / 2;
    }
    if (lane.kind === "process") return lane.words.length && e.kind === "output" ? PROCESS + WORDS / 2 - 2 : PROCESS / 2;
    return lane.height / 2;
  }
}
