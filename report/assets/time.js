// SPDX-License-Identifier: Apache-2.0
// Time: how it is written, and where it stands in the picture. All times are nanoseconds.

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

const PAUSE = 5e6; // what lasts longer is marked as a pause in a story

// formatTime writes a time so that two that differ by step differ in writing.
function formatTime(ns, step = 1) {
  if (ns < 1) return "0";
  const [unit, name] = UNITS.find(([u]) => ns >= u);
  const decimals = Math.min(Math.max(Math.ceil(Math.log10(unit / Math.max(step, 1)) - 1e-9), 0), 9);
  return `${(ns / unit).toFixed(decimals)} ${name}`;
}

// formatDuration writes how long something took, with three digits.
function formatDuration(ns) {
  if (ns < 1) return "0 ns";
  const [unit, name] = UNITS.find(([u]) => ns >= u);
  const value = ns / unit;
  return `${value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))} ${name}`;
}

// firstAtLeast returns the first index of a sorted list whose value is at least x.
function firstAtLeast(list, x, value = (v) => v) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value(list[middle]) < x) low = middle + 1; else high = middle;
  }
  return low;
}

// Timeline maps times to places along the picture and back. By the clock, places are times. As a
// story, each pause between two things that happen gets a width that grows with its logarithm: a
// handshake of 50 µs and a wait of 5 s are both seen, and the order stays.
class Timeline {
  constructor(times) {
    this.times = times;
    this.places = new Float64Array(times.length);
    for (let i = 1; i < times.length; i++) {
      this.places[i] = this.places[i - 1] + Math.log10(1 + (times[i] - times[i - 1]) / 500);
    }
    this.story = true;
    this.pauses = []; // indices of the times before which nothing happened for long
    for (let i = 1; i < times.length; i++) if (times[i] - times[i - 1] >= PAUSE) this.pauses.push(i);
  }

  get end() { return this.story ? this.places[this.places.length - 1] : this.times[this.times.length - 1]; }

  place(t) { return this.story ? interpolate(this.times, this.places, t) : t; }

  time(place) { return this.story ? interpolate(this.places, this.times, place) : place; }
}

// interpolate maps x from one sorted list to another one, in straight lines between their values,
// and beyond their ends in the first and last of these lines.
function interpolate(from, to, x) {
  const i = Math.min(Math.max(firstAtLeast(from, x), 1), from.length - 1);
  const width = from[i] - from[i - 1];
  return width > 0 ? to[i - 1] + (x - from[i - 1]) / width * (to[i] - to[i - 1]) : to[i];
}

// View is the part of a timeline that is seen, in a width in pixels.
class View {
  constructor(timeline) {
    this.timeline = timeline;
    this.width = 1;
    this.start = 0; // the place at the left edge
    this.scale = 1; // pixels for one place
  }

  x(t) { return (this.timeline.place(t) - this.start) * this.scale; }

  time(x) { return this.timeline.time(this.start + x / this.scale); }

  // keep stops a view that is too small, too large, or away from everything.
  keep() {
    const least = this.width * 0.9 / Math.max(this.timeline.end, 1e-9);
    const most = this.timeline.story ? 400 : 20; // pixels for one place: 20 for a nanosecond
    this.scale = Math.min(Math.max(this.scale, least), Math.max(most, least));
    const seen = this.width / this.scale;
    const margin = seen * 0.5;
    this.start = Math.min(Math.max(this.start, -margin), this.timeline.end - seen + margin);
    if (this.scale === least) this.start = -(seen - this.timeline.end) / 2;
  }

  fit() {
    this.scale = 0;
    this.keep();
  }

  zoom(factor, x) {
    const place = this.start + x / this.scale;
    this.scale *= factor;
    this.keep();
    this.start = place - x / this.scale;
    this.keep();
  }

  centre(t) {
    this.start = this.timeline.place(t) - this.width / 2 / this.scale;
    this.keep();
  }

  // around shows a time in the middle, with about as many of the times beside it as have room.
  around(t) {
    const { times } = this.timeline;
    const i = firstAtLeast(times, t), n = Math.max(8, Math.round(this.width / 40));
    const before = this.timeline.place(t) - this.timeline.place(times[Math.max(i - n / 2 | 0, 0)]);
    const after = this.timeline.place(times[Math.min(i + n / 2 | 0, times.length - 1)]) - this.timeline.place(t);
    this.scale = this.width / Math.max(2.1 * Math.max(before, after), 1e-6);
    this.keep();
    this.centre(t);
  }

  // ticks are the times that are written on the axis, at most one in each so many pixels.
  ticks(apart) {
    return this.timeline.story ? this.storyTicks(apart) : this.clockTicks(apart);
  }

  clockTicks(apart) {
    const rough = apart / this.scale;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max([1, 2, 5, 10].find((n) => n * power >= rough) * power, 1);
    const ticks = [];
    const last = Math.min(this.time(this.width), this.timeline.end);
    for (let n = Math.max(Math.ceil(this.time(0) / step), 0); n * step <= last; n++) {
      ticks.push({ x: this.x(n * step), text: formatTime(n * step, step) });
    }
    return ticks;
  }

  storyTicks(apart) {
    const { times } = this.timeline;
    const ticks = [];
    for (let i = firstAtLeast(times, this.time(-apart)); i < times.length; i = Math.max(i + 1, firstAtLeast(times, this.time(ticks.at(-1).x + apart)))) {
      const x = this.x(times[i]);
      if (x > this.width) break;
      const before = i > 0 ? times[i] - times[i - 1] : times[i];
      ticks.push({ x, text: formatTime(times[i], Math.max(before / 10, times[i] / 1e5)) });
    }
    return ticks;
  }

  // pauses are the long times in which nothing happened, where the picture is a story.
  pauses() {
    if (!this.timeline.story) return [];
    const { times, pauses } = this.timeline, all = [];
    for (let n = firstAtLeast(pauses, this.time(0), (i) => times[i]); n < pauses.length; n++) {
      const i = pauses[n], from = this.x(times[i - 1]), to = this.x(times[i]);
      if (from > this.width) break;
      if (to - from > 40) all.push({ from, to, text: formatDuration(times[i] - times[i - 1]) });
    }
    return all;
  }
}
