// SPDX-License-Identifier: Apache-2.0
// The recording as the page holds it, made into objects that know each other.

// KINDS are the kinds of events: the word that people read, and what it means.
const KINDS = new Map([
  ["verdict", ["Verdict", "a check gives its verdict"]],
  ["fault", ["Fault", "a fault begins or is healed"]],
  ["signal", ["Signal", "the rig sends a signal"]],
  ["storm", ["Storm", "a storm of signals begins or ends"]],
  ["call", ["System call", "a system call was answered by the rig"]],
  ["start", ["Start", "a process begins"]],
  ["exit", ["End", "a process ends, becomes a zombie, or is reaped"]],
  ["stop", ["Stop", "a process is stopped or continued"]],
  ["output", ["Output", "a process wrote a line"]],
  ["socket", ["Socket", "the state of a socket changed"]],
  ["packet", ["Packet", "a TCP segment, or another packet"]],
  ["wait", ["Wait", "something was waited for: the end of the wait"]],
  ["note", ["Note", "something that the rig did or saw"]],
]);

const kindWord = (kind) => (KINDS.get(kind) || [kind])[0];

// Model is one recording. Nothing in it changes once it is made.
class Model {
  constructor(data) {
    this.name = data.name;
    this.kernel = data.kernel;
    this.seed = data.seed;
    this.began = data.began;
    this.outcome = data.outcome;
    this.focus = data.focus || 0;
    this.leftOut = data.left_out || [];
    this.hosts = data.hosts || [];
    this.processes = data.processes || [];
    this.connections = data.connections || [];
    this.spans = data.spans || [];
    this.events = (data.events || []).map((row) => this.event(row, data));
    this.length = Math.max(data.length_ns, 1);
    for (const e of this.events) this.length = Math.max(this.length, e.at, e.arrives || 0);

    this.eventByID = new Map(this.events.map((e) => [e.id, e]));
    this.processByID = new Map(this.processes.map((p) => [p.id, p]));
    this.connectionByID = new Map(this.connections.map((c) => [c.id, c]));
    this.spanByID = new Map(this.spans.map((s) => [s.id, s]));
    for (const s of this.spans) s.hosts ||= [];
    this.events.forEach((e, i) => { e.index = i; });
    this.focusEvent = this.eventByID.get(this.focus) || null;
  }

  // event makes an object of a row: see rows in data.go.
  event([id, at, kind, host, process, connection, span, text, packet], data) {
    const e = { id, at, kind: data.kinds[kind], host: data.names[host], process, connection, span, text };
    if (packet) {
      const [from, to, took, flags, seq, ack, window, bytes, first, marks, side] = packet;
      e.packet = { from: data.names[from], to: data.names[to], took, flags, seq, ack, window, bytes, first: first || "", marks: marks || [], side };
      e.arrives = took >= 0 ? at + took : null;
    }
    return e;
  }

  // times are all at which something begins, ends or happens, in order, each once.
  times() {
    const all = [0, this.length];
    for (const e of this.events) {
      all.push(e.at);
      if (e.arrives) all.push(e.arrives);
    }
    for (const list of [this.processes, this.connections, this.spans]) {
      for (const one of list) all.push(one.began_ns, one.ended_ns || this.length);
    }
    return Float64Array.from(new Set(all.map((t) => Math.min(Math.max(t, 0), this.length)))).sort();
  }

  // spanName is what it is; a wait does not name its host itself.
  spanName(span) { return `${span.kind === "wait" && span.hosts.length ? `${span.hosts.join(", ")}: ` : ""}${span.name}`; }

  endOf(thing) { return thing.ended_ns || this.length; }

  processName(id) {
    const p = this.processByID.get(id);
    return p ? `${p.name} [${p.pid}]` : "";
  }

  connectionName(id) {
    const c = this.connectionByID.get(id);
    if (!c) return "";
    if (!c.client.address) return `listener ${c.server.address}`;
    return `#${id} ${c.client.address} → ${c.server.address}`;
  }

  // matches says whether the text is in what a person reads of the event; text is in lower case.
  matches(e, text) {
    e.haystack ||= [e.text, kindWord(e.kind), e.host, this.processName(e.process), this.connectionName(e.connection),
      e.packet ? `${e.packet.flags} ${e.packet.first} ${e.packet.marks.join(" ")}` : ""].join("\n").toLowerCase();
    return e.haystack.includes(text);
  }
}

// packetLabel says in a few words what a packet is.
function packetLabel(p) {
  const flags = p.flags || "";
  const parts = [];
  if (!p.bytes || /SYN|FIN|RST/.test(flags)) parts.push(flags || "packet");
  if (p.bytes) parts.push(`${p.bytes.toLocaleString("en")} B`);
  parts.push(...p.marks.filter((m) => m !== "reset"));
  return parts.join(" · ");
}

// packetClass is the class of a packet by which it is coloured.
function packetClass(p) {
  if (p.flags.includes("RST")) return "rst";
  if (p.flags.includes("SYN")) return "syn";
  if (p.flags.includes("FIN")) return "fin";
  return p.bytes ? "data" : "ack";
}
