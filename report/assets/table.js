// SPDX-License-Identifier: Apache-2.0
// The table of events behind the picture, for those who read it with a screen reader, on paper, or
// as a log. Its rows are made when it is opened, some at a time.

const ROWS_AT_ONCE = 400;
const ROWS_ON_PAPER = 200;

class EventTable {
  constructor(picture) {
    this.picture = picture;
    this.body = el("tbody");
    this.caption = el("caption");
    this.node = el("details", { class: "events", ontoggle: () => this.fill() },
      el("summary", {}, `All ${picture.model.events.length.toLocaleString("en")} events as a table`),
      el("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Table of events" }, el("table", {}, this.caption, this.head(), this.body)));
    this.paper = el("div", { class: "paper" });
    this.rows = new Map();
    this.body.addEventListener("click", (click) => {
      const row = click.target.closest("tr");
      if (row && row.event) picture.select(row.event, { show: true });
    });
  }

  head() {
    return el("thead", {}, el("tr", {}, ...["Event", "Time", "Kind", "Host", "Process", "Connection", "What"].map((h) => el("th", { scope: "col" }, h))));
  }

  row(e) {
    const { model } = this.picture;
    const text = e.packet ? `${packetLabel(e.packet)} ${e.packet.from} → ${e.packet.to}${e.packet.took < 0 ? ", not seen to arrive" : ""} · ${e.text}` : e.text;
    const row = el("tr", { class: e.id === model.focus ? "focus" : undefined },
      el("td", {}, this.picture.linkTo(e)), el("td", { class: "time" }, formatTime(e.at, 1e3)), el("td", {}, kindWord(e.kind)),
      el("td", {}, e.host), el("td", {}, model.processName(e.process)), el("td", {}, model.connectionName(e.connection)), el("td", { class: "text" }, text));
    row.event = e;
    return row;
  }

  // fill makes the rows of what the filters and the search show, if the table is open.
  fill() {
    if (!this.node.open) return;
    const { picture } = this;
    const events = picture.model.events.filter((e) => picture.shows(e) && (!picture.found || picture.found.has(e)));
    this.body.replaceChildren();
    this.rows.clear();
    this.caption.textContent = `${events.length.toLocaleString("en")} of ${picture.model.events.length.toLocaleString("en")} events, by time since the lab was made`;
    const filling = this.filling = {};
    const more = (from) => {
      if (this.filling !== filling) return; // it was filled anew
      const part = document.createDocumentFragment();
      for (const e of events.slice(from, from + ROWS_AT_ONCE)) {
        const row = this.row(e);
        this.rows.set(e, row);
        part.append(row);
      }
      this.body.append(part);
      this.mark(picture.selected);
      if (from + ROWS_AT_ONCE < events.length) setTimeout(more, 0, from + ROWS_AT_ONCE);
    };
    more(0);
  }

  mark(e) {
    if (this.marked) this.marked.removeAttribute("aria-current");
    this.marked = this.rows.get(e);
    if (this.marked) this.marked.setAttribute("aria-current", "true");
  }

  // print makes a table of the events in view, which is seen on paper only.
  print() {
    const { picture } = this;
    const inView = picture.model.events.filter((e) => {
      const x = picture.view.x(e.at);
      return x >= 0 && x <= picture.view.width && picture.shows(e);
    });
    const shown = inView.slice(0, ROWS_ON_PAPER);
    const said = `${shown.length} of ${inView.length} events in the part of the picture that is shown; the recording has ${picture.model.events.length}`;
    this.paper.replaceChildren(el("table", {}, el("caption", {}, said), this.head(), el("tbody", {}, ...shown.map((e) => this.row(e)))));
  }
}
