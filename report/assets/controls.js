// SPDX-License-Identifier: Apache-2.0
// Controls above the picture: search, zoom, and a legend whose marks are the filters.

class Controls {
  constructor(picture) {
    this.picture = picture;
    this.search = el("input", { type: "search", placeholder: "Search events", "aria-label": "Search the events", oninput: () => this.find(), onkeydown: (k) => this.searchKey(k) });
    this.count = el("span", { class: "count", role: "status" });
    this.mode = el("button", { type: "button", class: "mode", onclick: () => picture.setStory(!picture.timeline.story) });
    this.bar = el("div", { class: "bar", role: "toolbar", "aria-label": "The picture" },
      this.button("Fit all", "Show the whole recording (key 0)", () => picture.fit()),
      picture.model.focusEvent && this.button(picture.focusButton, "Show the event where it went wrong (key F)", () => picture.showFocus(), "focus"),
      this.button("−", "Zoom out (key −)", () => picture.zoom(1 / 1.6)),
      this.button("+", "Zoom in (key +)", () => picture.zoom(1.6)),
      this.mode,
      el("span", { class: "find" }, this.search, this.count),
      this.button("Keys", "What keys and pointer do (key ?)", () => this.toggleHelp()));
    this.help = el("p", { class: "help", hidden: true },
      "Drag moves, the wheel zooms, Shift and wheel moves in time; two fingers zoom. Click selects. With the picture in focus: ← and → go to the " +
      "previous and next event, ↑ and ↓ to the lane above and below, Home and End to the first and last event; Shift and ← or → move; " +
      "+ and − zoom, 0 shows all, F shows where it went wrong, S changes between story and clock; Enter shows the selected event in the panel, Esc ends the selection; / searches, T opens the table.");
    this.legend = el("div", { class: "legend" }, ...this.kindChips(), ...this.hostChips(), this.connectionChoice());
    this.showMode();
  }

  button(text, title, onclick, name = "") {
    return el("button", { type: "button", title, "aria-label": text.length < 2 ? title : undefined, class: name, onclick }, text);
  }

  showMode() {
    const { story } = this.picture.timeline;
    this.mode.textContent = story ? "Time: story" : "Time: clock";
    this.mode.title = story ? "Long pauses are drawn short. Press for time by the clock (key S)" : "Time by the clock. Press to draw long pauses short (key S)";
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
