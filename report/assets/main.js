// SPDX-License-Identifier: Apache-2.0
// The page: it makes a picture where one comes into view, follows links to events, and changes
// between light and dark.

const pictures = new Map(); // by number, those that were made
const mounts = [...document.querySelectorAll("[data-recording]")];

function mount(number) {
  const root = mounts.find((m) => m.dataset.recording === String(number));
  if (!root) return null;
  if (!pictures.has(number)) {
    const data = JSON.parse(document.getElementById(`recording-${number}`).textContent);
    pictures.set(number, new Picture(root, data, number, document.documentElement.dataset.alone === "true"));
  }
  return pictures.get(number);
}

// setHash changes the address without a step in the history, once nothing else is selected for a
// moment: browsers allow so many changes only.
let hashTimer = 0;
function setHash(hash) {
  clearTimeout(hashTimer);
  hashTimer = setTimeout(() => {
    try {
      history.replaceState(null, "", hash || location.pathname + location.search);
    } catch {
      // a sandboxed frame may forbid it: then there is no link to copy
    }
  }, 200);
}

// follow goes to what the address names: an event, or a check.
function follow() {
  const [, recording, event] = /^#(?:r(\d+))?e(\d+)$/.exec(location.hash) || [];
  if (!event) {
    const target = document.getElementById(decodeHash());
    if (target) {
      openAround(target);
      target.scrollIntoView();
    }
    return;
  }
  const number = Number(recording || mounts[0]?.dataset.recording);
  const root = mounts.find((m) => m.dataset.recording === String(number));
  openAround(root);
  const picture = mount(number), e = picture && picture.model.eventByID.get(Number(event));
  if (!e) return;
  picture.select(e);
  picture.centre(e);
  picture.root.scrollIntoView({ block: "nearest" });
}

// openAround unfolds an element, and all that it is in.
function openAround(node) {
  for (; node; node = node.parentElement) if (node instanceof HTMLDetailsElement) node.open = true;
}

function decodeHash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

const THEMES = { auto: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" };
const themeButton = document.getElementById("theme");
themeButton.addEventListener("click", () => {
  const names = Object.keys(THEMES), now = document.documentElement.dataset.theme;
  setTheme(names[(names.indexOf(now) + 1) % names.length]);
});

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  themeButton.textContent = THEMES[name];
  for (const picture of pictures.values()) picture.themeChanged();
}

for (const root of mounts) {
  const details = root.closest("details");
  if (!details || details.open) mount(Number(root.dataset.recording));
  if (details) details.addEventListener("toggle", () => { if (details.open) mount(Number(root.dataset.recording)); });
}
themeButton.hidden = false;
window.addEventListener("hashchange", follow);
follow();

// On paper the colours are light, and the lanes have the height that they need.
window.addEventListener("beforeprint", () => {
  for (const picture of pictures.values()) {
    picture.paperHeight = 1100;
    picture.themeBefore = document.documentElement.dataset.theme;
  }
  setTheme("light");
  for (const picture of pictures.values()) {
    picture.resized();
    picture.table.print();
  }
});
window.addEventListener("afterprint", () => {
  for (const picture of pictures.values()) {
    picture.paperHeight = 0;
    setTheme(picture.themeBefore || "auto");
    picture.resized();
  }
});

// forkrig is what tests read. Its functions change nothing. Places are in pixels from the left and
// upper edge of the canvas of a picture; a picture is known by its number, 1 without one.
window.forkrig = Object.freeze({
  // positionOf says where an event stands, and null where folds or filters hide it.
  positionOf(id, number = 1) {
    const picture = pictures.get(number), e = picture && picture.model.eventByID.get(id);
    const lane = e && picture.shows(e) && picture.layout.visibleLane(e);
    if (!lane) return null;
    const folded = lane !== picture.layout.laneOfEvent.get(e);
    return { x: picture.view.x(e.at), y: picture.painter.y(lane) + (folded ? lane.height / 2 : picture.layout.yOf(e, lane)), lane: lane.label, group: lane.group,
      arrives: e.arrives == null ? null : picture.view.x(e.arrives) };
  },
  // arrows are the numbers of the packets of each arrow in view.
  arrows(number = 1) { return pictures.get(number).painter.hits.filter((h) => h.events[0].packet).map((h) => h.events.map((e) => e.id)); },
  timeAt(x, number = 1) { return pictures.get(number).view.time(x); },
  // lanes are those that are to be seen, from top to bottom.
  lanes(number = 1) { return pictures.get(number).layout.placed.map(({ kind, label, group, top, height, folded }) => ({ kind, label, group, top, height, folded: Boolean(folded) })); },
  // state says what is seen: times in nanoseconds, sizes in pixels, and how long drawing took in milliseconds.
  state(number = 1) {
    const p = pictures.get(number);
    if (!p) return null;
    return { from: p.view.time(0), to: p.view.time(p.view.width), width: p.view.width, height: p.painter.height, scrollTop: p.scrollTop, shortPauses: p.timeline.shortPauses,
      selected: p.selected ? p.selected.id : 0, found: p.found ? p.found.size : -1, shown: p.model.events.filter((e) => p.shows(e)).length, events: p.model.events.length, draws: { ...p.draws } };
  },
  pictures() { return [...pictures.keys()]; },
});
