// SPDX-License-Identifier: Apache-2.0
// Controls above the picture: search, zoom, and a legend whose marks are the filters.

class Controls {
  constructor(picture) {
    this.picture = picture;
    this.search = el("input", { type: "search", placeholder: "Search events", "aria-label": "Search the events", oninput: () => this.find(), onkeydown: (k) => this.searchKey(k) });
    this.count = el("span", { class: "count", role: "status" });
    this.mode = el("button", { type: "button", class: "mode", onclick: () => picture.setShortPauses(!picture.timeline.shortPauses) });
    this.lanes = el("button", { type: "button", class: "lanes-in-view", onclick: () => picture.setOnlyInView(!picture.onlyInView) });
    this.bar = el("div", { class: "bar", role: "toolbar", "aria-label": "The picture" },
      this.button("Fit all", "Show the whole recording (key 0)", () => picture.fit()),
      picture.model.focusEvent && this.button(picture.focusButton, "Show the event where it went wrong (key F)", () => picture.showFocus(), "focus"),
      this.button("−", "Zoom out (key −)", () => picture.zoom(1 / 1.6)),
      this.button("+", "Zoom in (key +)", () => picture.zoom(1.6)),
      this.mode,
      this.lanes,
      el("span", { class: "find" }, this.search, this.count),
      this.button("Help", "What is what, and what keys and pointer do (key ?)", () => this.toggleHelp()));
    this.help = el("div", { class: "help", hidden: true }, ...this.helpTexts());
    this.legend = el("div", { class: "legend" }, ...this.kindChips(), ...this.hostChips(), this.connectionChoice());
    this.showMode();
    this.showLanes();
  }

  button(text, title, onclick, name = "") {
    return el("button", { type: "button", title, "aria-label": text.length < 2 ? title : undefined, class: name, onclick }, text);
  }

  showMode() {
    const { shortPauses } = this.picture.timeline;
    this.mode.textContent = shortPauses ? "Pauses: short" : "Pauses: full";
    this.mode.title = shortPauses ? "Long pauses are drawn short. Press to draw time as it was (key S)" : "Time is drawn as it was. Press to draw long pauses short (key S)";
  }

  showLanes() {
    this.lanes.textContent = this.picture.onlyInView ? "Lanes: in view" : "Lanes: all";
    this.lanes.title = this.picture.onlyInView ? "Only lanes in which something happens in view. Press for all (key V)" : "All lanes. Press for those in which something happens in view (key V)";
  }

  helpTexts() {
    const swatch = (name, word) => {
      const mark = el("i", { class: name });
      mark.style.backgroundColor = `var(--${name}-bar)`;
      mark.style.borderColor = `var(--${name}-edge)`;
      return el("span", {}, mark, word);
    };
    const arrow = (name, word) => {
      const mark = el("i", { class: "arrow" });
      mark.style.borderColor = `var(--${name})`;
      return el("span", {}, mark, word);
    };
    const keys = [["drag", "move"], ["wheel", "zoom"], ["Shift+wheel", "move in time"], ["two fingers", "zoom"], ["click", "select"], ["← →", "previous, next event"],
      ["↑ ↓", "lane above, below"], ["Home End", "first, last event"], ["Shift+← →", "move"], ["+ −", "zoom"], ["0", "all"], ["F", "the focus"],
      ["S", "pauses short or full"], ["V", "lanes in view"], ["Enter", "to the panel"], ["Esc", "select nothing"], ["/", "search"], ["T", "table"]];
    return [
      el("p", {}, "Time goes to the right. Each host has its processes, and below a client its connections: the upper bar is the socket of the client, the lower one that of the server, and the arrows between them are packets. " +
        "Long pauses are drawn short, so that the order is seen; Pauses: full draws time as it was."),
      el("p", { class: "swatches" }, "Processes:", swatch("runs", "runs or sleeps"), swatch("stopped", "stopped"), swatch("zombie", "zombie")),
      el("p", { class: "swatches" }, "Sockets:", swatch("listen", "LISTEN"), swatch("opening", "SYN_SENT, SYN_RECV"), swatch("open", "ESTABLISHED"), swatch("closing", "FIN_WAIT, LAST_ACK, CLOSING"),
        swatch("closewait", "CLOSE_WAIT"), swatch("timewait", "TIME_WAIT")),
      el("p", { class: "swatches" }, "Packets:", arrow("syn", "SYN"), arrow("data", "data"), arrow("ack", "ACK"), arrow("fin", "FIN"), arrow("rst", "RST"), el("span", {}, "dashed: sent again"), el("span", {}, "ends in a cross: lost; without a head: not seen to arrive")),
      el("p", { class: "swatches" }, ...keys.map(([key, act]) => el("span", {}, el("kbd", {}, key), act))),
    ];
  }

  toggleHelp() { this.help.hidden = !this.help.hidden; }

  // chip is a button that shows or hides something.
  chip(label, title, set, key, mark) {
    const chip = el("button", { type: "button", class: "chip", title, "aria-pressed": "true", onclick: () => {
      if (!set.delete(key)) set.add(key);
      chip.setAttribute("aria-pressed", String(!set.has(key)));
      this.picture.filtersChanged();
    } }, mark, label);
    return chip;
  }

  kindChips() {
    const counts = groupBy(this.picture.model.events, (e) => e.kind);
    const chips = [...KINDS].filter(([kind]) => counts.has(kind)).map(([kind, [word, meaning]]) =>
      this.chip(`${word} ${counts.get(kind).length}`, `${meaning}. Press to hide or show`, this.picture.filters.hiddenKinds, kind, symbol(kind, this.picture.painter)));
    return [el("span", { class: "what" }, "Events"), ...chips];
  }

  hostChips() {
    const { hosts } = this.picture.model;
    if (hosts.length < 2 || hosts.length > 20) return [];
    return [el("span", { class: "what" }, "Hosts"), ...hosts.map((h) => this.chip(h.name.slice(0, 30), `${h.name}. Press to hide or show`, this.picture.filters.hiddenHosts, h.name))];
  }

  connectionChoice() {
    const { connections } = this.picture.model;
    if (connections.length < 2) return null;
    const choice = el("select", { "aria-label": "Show the events of one connection", onchange: () => {
      this.picture.filters.connection = Number(choice.value);
      this.picture.filtersChanged();
    } }, el("option", { value: "0" }, `All ${connections.length} connections`),
    ...connections.slice(0, 2000).map((c) => el("option", { value: String(c.id) }, this.picture.model.connectionName(c.id))));
    return choice;
  }

  find() {
    const text = this.search.value.trim().toLowerCase();
    const { picture } = this;
    picture.found = text ? new Set(picture.model.events.filter((e) => picture.shows(e) && picture.model.matches(e, text))) : null;
    this.showCount();
    picture.draw();
  }

  showCount() {
    const { found, selected } = this.picture;
    if (!found) { this.count.textContent = ""; return; }
    const place = selected && found.has(selected) ? `${[...found].indexOf(selected) + 1} of ` : "";
    this.count.textContent = found.size ? `${place}${found.size} found` : "nothing found";
  }

  searchKey(key) {
    const { picture } = this;
    if (key.key === "Escape") {
      this.search.value = "";
      this.find();
      picture.stage.focus();
    }
    if (key.key !== "Enter" || !picture.found || !picture.found.size) return;
    const all = [...picture.found];
    const at = picture.selected ? all.findIndex((e) => e.index > picture.selected.index) : 0;
    const before = picture.selected ? all.findLastIndex((e) => e.index < picture.selected.index) : all.length - 1;
    picture.select(all.at(key.shiftKey ? before : Math.max(at, 0)), { show: true });
    this.showCount();
  }
}
