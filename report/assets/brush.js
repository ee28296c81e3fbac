// SPDX-License-Identifier: Apache-2.0
// The brush: the canvas, its colours, and what everything is drawn with. It notes where things
// stand, for the pointer.

const SANS = "12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";
const SMALL = "11px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";
const BOLD = "600 12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";
const MONO = "11.5px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace";

// COLOURS are the names in the style sheet of all that is drawn with.
const COLOURS = [
  "ground", "axis", "header", "section", "chosen", "pause", "line", "grid", "edge", "ink", "ink2", "quiet", "pale", "halo", "shade", "density", "fork",
  "accent", "found", "bad", "bad-ink", "flag", "flag-ink", "fault", "storm", "wait", "fault-band", "storm-band", "fault-bar", "storm-bar", "wait-bar", "failed-bar",
  "stopped-hatch", "zombie-hatch", "fork-many", "focus", "focus-ink",
  ...["runs", "stopped", "zombie", "listen", "opening", "open", "closing", "closewait", "timewait", "closed"].flatMap((n) => [`${n}-bar`, `${n}-edge`]),
  ...["syn", "fin", "rst", "data", "ack"].flatMap((n) => [n, `${n}-ink`]),
  ...[...KINDS.keys()].map((kind) => `mark-${kind}`),
];

class Brush {
  constructor(picture, canvas) {
    Object.assign(this, { picture, canvas, model: picture.model, layout: picture.layout, view: picture.view });
    this.c = canvas.getContext("2d");
    this.hits = [];   // marks and arrows
    this.places = []; // bars, below them
    this.widths = new Map();
    this.readColours();
  }

  readColours() {
    // A probe has the browser resolve what the style sheet says for light and dark.
    const probe = this.picture.root.appendChild(el("span", { hidden: true }));
    this.colour = Object.fromEntries(COLOURS.map((name) => {
      probe.style.color = `var(--${name})`;
      return [name, getComputedStyle(probe).color];
    }));
    probe.remove();
    this.hatches = new Map();
  }

  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.ratio = ratio;
  }

  rect(x, y, width, height, colour) {
    this.c.fillStyle = colour;
    this.c.fillRect(x, y, width, height);
  }

  line(x, y, toX, toY, colour, width = 1, dash = []) {
    const { c } = this;
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.setLineDash(dash);
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(toX, toY);
    c.stroke();
    c.setLineDash([]);
  }

  // bar draws something that lasts, and returns where its part in view begins and ends, or null.
  bar(from, to, y, height, fill, text, title, border) {
    let x = this.view.x(from), end = this.view.x(to);
    if (end < -2 || x > this.width + 2) return null;
    end = Math.max(end, x + 2);
    const left = Math.max(x, -10), right = Math.min(end, this.width + 10);
    const { c } = this;
    c.fillStyle = fill;
    c.beginPath();
    c.roundRect(left, y, right - left, height, 3);
    c.fill();
    if (border) {
      c.strokeStyle = border;
      c.lineWidth = 1;
      c.beginPath();
      c.roundRect(left + 0.5, y + 0.5, right - left - 1, height - 1, 3);
      c.stroke();
    }
    this.places.push({ x: left, y, width: right - left, height, title });
    if (text) this.text(text, Math.max(left, 0) + 6, y + height / 2 + 0.5, Math.min(right, this.width) - Math.max(left, 0) - 10, SMALL, this.colour.ink);
    return { left, right };
  }

  // boxed writes a word at the right end of a hatched bar, if there is room, and says whether there is.
  boxed(word, right, y, room) {
    const width = this.measure(word, SMALL) + 8;
    if (width > room) return false;
    this.rect(right - width, y - 6, width, 12, this.colour.ground);
    this.text(word, right - width + 4, y + 0.5, width, SMALL, this.colour.ink);
    return true;
  }

  hatch(x, y, width, height, colour) {
    const { c } = this;
    if (!this.hatches.has(colour)) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 6;
      const t = tile.getContext("2d");
      t.strokeStyle = colour;
      t.lineWidth = 1.2;
      t.beginPath();
      for (const d of [-6, 0, 6]) { t.moveTo(d, 6); t.lineTo(d + 6, 0); }
      t.stroke();
      this.hatches.set(colour, c.createPattern(tile, "repeat"));
    }
    c.fillStyle = this.hatches.get(colour);
    c.fillRect(x, y, width, height);
  }

  isSpecial(e) { return e === this.picture.selected || e.id === this.model.focus || (this.picture.found && this.picture.found.has(e)); }

  // fade makes pale what a search did not find.
  fade(colour, ...events) {
    const { found } = this.picture;
    return !found || events.some((e) => found.has(e)) ? colour : this.colour.pale;
  }

  ring(x, y, radius, e) {
    const { c } = this;
    c.strokeStyle = e === this.picture.selected ? this.colour.accent : e.id === this.model.focus ? this.colour.focus : this.colour.found;
    c.lineWidth = 2.4;
    c.beginPath();
    c.arc(x, y, radius, 0, 2 * Math.PI);
    c.stroke();
  }

  measure(text, font) {
    const key = font + text;
    let width = this.widths.get(key);
    if (width === undefined) {
      if (this.widths.size > 20000) this.widths.clear();
      this.c.font = font;
      this.widths.set(key, width = this.c.measureText(text).width);
    }
    return width;
  }

  // text writes a text in so much room, with an ellipsis where it is cut; with a halo on what is below it.
  text(text, x, y, room, font, colour, halo = false) {
    if (room < 12 || x > this.width || x < -2000) return;
    const { c } = this;
    let shown = text.length > 300 ? text.slice(0, 300) : text;
    shown = shown.replaceAll("\n", " ⏎ ");
    const width = this.measure(shown, font);
    if (width > room) {
      let n = Math.floor(shown.length * room / width);
      while (n > 0 && this.measure(`${shown.slice(0, n)}…`, font) > room) n -= 1 + (n >> 4);
      if (n < 3) return;
      shown = `${shown.slice(0, n)}…`;
    }
    c.font = font;
    if (halo) {
      c.strokeStyle = this.colour.halo;
      c.lineWidth = 3;
      c.lineJoin = "round";
      c.strokeText(shown, x, y);
    }
    c.fillStyle = colour;
    c.fillText(shown, x, y);
  }

  // hit returns what is at a point: a mark, an arrow or a bar.
  hit(x, y) {
    let best = null, nearest = 7;
    for (const h of this.hits) {
      const d = h.toX === undefined ? Math.max(Math.hypot(h.x - x, h.y - y) - h.radius + 2, 0) : distance(x, y, h);
      if (d < nearest) { nearest = d; best = h; }
    }
    if (best) return best;
    return this.places.findLast((p) => x >= p.x && x <= p.x + p.width && y >= p.y && y <= p.y + p.height) || null;
  }
}

// distance is how far a point is from a line between two others.
function distance(x, y, { x: a, y: b, toX, toY }) {
  const dx = toX - a, dy = toY - b;
  const t = Math.min(Math.max(((x - a) * dx + (y - b) * dy) / (dx * dx + dy * dy || 1), 0), 1);
  return Math.hypot(x - a - t * dx, y - b - t * dy);
}
