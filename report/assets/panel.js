// SPDX-License-Identifier: Apache-2.0
// The panel beside the picture: the outcome with the subject's own words, and the selected event.

const VERDICTS = ["pass", "warn", "by-design", "fail", "broken", "skip"]; // each is a class of the style sheet

class Panel {
  constructor(picture) {
    this.picture = picture;
    this.event = el("div", { class: "event", tabindex: "-1" });
    this.node = el("aside", { class: "panel", "aria-label": "Outcome and selected event" }, this.event, this.outcome());
    this.show(null);
  }

  outcome() {
    const { outcome, focusEvent, leftOut } = this.picture.model;
    const part = (label, text) => text && [el("dt", {}, label), el("dd", {}, text)];
    const words = outcome.words || [];
    const node = el("div", { class: "outcome" },
      el("h3", {}, outcome.verdict ? "Verdict " : "Outcome", outcome.verdict ? el("span", { class: `verdict ${VERDICTS.includes(outcome.verdict) ? outcome.verdict : ""}` }, outcome.verdict) : null),
      el("dl", {}, ...[part("Expected", outcome.expected), part("Observed", outcome.observed), part(outcome.verdict === "broken" || outcome.verdict === "skip" ? "Reason" : "Remedy", outcome.why)].filter(Boolean).flat()));
    if (words.length) node.append(el("h4", {}, "The server's own words"), el("pre", { class: "words", tabindex: "0" }, ...words.flatMap((line) => [this.word(line), "\n"])));
    if (focusEvent) {
      node.append(el("h4", {}, this.picture.focusWords), el("p", {}, this.picture.linkTo(focusEvent), ` ${formatTime(focusEvent.at, 1e3)}: ${focusEvent.text}`));
    }
    if (leftOut.length) node.append(el("h4", {}, "Left out, because there was too much"), el("ul", { class: "left-out" }, ...leftOut.map((t) => el("li", {}, t))));
    return node;
  }

  // word is a line of the server's own words, as a link to where it was written, if that is known.
  word(line) {
    const { picture } = this, text = line.trim();
    const e = text && picture.model.events.findLast((one) => one.kind === "output" && one.text.includes(text));
    if (!e) return line;
    const link = picture.linkTo(e);
    link.textContent = line;
    link.title = "Show where it was written";
    return link;
  }

  // show writes all that is known of an event.
  show(e) {
    const { model } = this.picture;
    this.event.replaceChildren();
    this.event.hidden = !e;
    if (!e) return;
    const rows = [["Time", formatTime(e.at, 1)]];
    const focus = model.focusEvent;
    if (focus && focus !== e) rows.push(["", `${formatDuration(Math.abs(e.at - focus.at))} ${e.at <= focus.at ? "before" : "after"} it went wrong`]);
    const before = model.events[e.index - 1];
    if (before) rows.push(["", `${formatDuration(e.at - before.at)} after event ${before.id}`]);
    rows.push(["Host", e.host], ["Process", this.process(e.process)], ["Connection", model.connectionName(e.connection)], ["Span", this.span(e.span)]);
    if (e.packet) rows.push(...this.packet(e.packet));
    this.event.append(
      el("h3", {}, symbol(e.kind, this.picture.painter), ` ${kindWord(e.kind)} `, this.picture.linkTo(e)),
      el("pre", { class: "whole", tabindex: "0" }, e.text),
      el("dl", {}, ...rows.filter(([, text]) => text).flatMap(([label, text]) => [el("dt", {}, label), el("dd", {}, text)])),
      el("div", { class: "steps" },
        el("button", { type: "button", onclick: () => this.picture.step(-1) }, "← Previous"),
        el("button", { type: "button", onclick: () => this.picture.step(1) }, "Next →"),
        el("button", { type: "button", onclick: () => this.picture.centre(e) }, "Centre"),
        el("button", { type: "button", onclick: () => this.picture.select(null) }, "Close")));
  }

  process(id) {
    const p = this.picture.model.processByID.get(id);
    if (!p) return "";
    return [`${p.name} [${p.pid}]`, p.command, p.exit && `ended: ${p.exit}`].filter(Boolean).join("\n");
  }

  span(id) {
    const s = this.picture.model.spanByID.get(id);
    if (!s) return "";
    const lasted = s.ended_ns ? `lasted ${formatDuration(s.ended_ns - s.began_ns)}` : "lasted until the end";
    return `${this.picture.model.spanName(s)}\n${lasted}${s.error ? `\nfailed: ${s.error}` : ""}`;
  }

  packet(p) {
    return [
      ["From, to", p.from === p.to ? `${p.from} (loopback)` : `${p.from} → ${p.to}`],
      ["On its way", p.took < 0 ? "not seen to arrive" : formatDuration(p.took)],
      ["Flags", p.flags],
      ["Numbers", p.seq == null ? "" : `seq ${p.seq}, ack ${p.ack}, window ${p.window}`],
      ["Payload", p.bytes ? `${p.bytes.toLocaleString("en")} bytes` : ""],
      ["Begins", p.first],
      ["Marks", p.marks.join(", ")],
    ];
  }

  // tip is the short text at the pointer.
  tip(hit) {
    if (hit.title !== undefined) return hit.title;
    const { model } = this.picture;
    const one = (e) => {
      const who = [e.host, model.processName(e.process)].filter(Boolean).join(", ");
      const what = e.packet ? `${packetLabel(e.packet)}${e.packet.took < 0 ? " · not seen to arrive" : ""}` : "";
      return `${formatTime(e.at, 1e3)} · ${kindWord(e.kind)}${who ? ` · ${who}` : ""}${what ? `\n${what}` : ""}\n${e.text.slice(0, 240)}`;
    };
    if (hit.events.length === 1) return one(hit.events[0]);
    const shown = hit.events.slice(0, 5).map((e) => `${formatTime(e.at, 1e3)} · ${e.text.slice(0, 80)}`);
    if (hit.events.length > 5) shown.push(`… and ${hit.events.length - 5} more: zoom in`);
    return `${hit.events.length} events\n${shown.join("\n")}`;
  }
}
