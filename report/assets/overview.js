// SPDX-License-Identifier: Apache-2.0
// The overview: the whole recording in a strip, and which part of it is in view.

class Overview {
  constructor(picture, canvas) {
    Object.assign(this, { picture, canvas, height: 38 });
    const move = (event) => {
      const { view, timeline } = picture;
      const x = event.clientX - canvas.getBoundingClientRect().left;
      view.start = x / this.width * timeline.end - view.width / view.scale / 2;
      view.keep();
      picture.draw();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
  }

  resize(width) {
    const ratio = window.devicePixelRatio || 1;
    this.width = width;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.height = `${this.height}px`;
    this.ratio = ratio;
    this.still = null;
  }

  // x of a time, with the whole timeline in the width.
  x(t) { return this.picture.timeline.place(t) / Math.max(this.picture.timeline.end, 1e-9) * this.width; }

  // makeStill draws what does not change while one moves: made once for each size, colours and filter.
  makeStill() {
    const { picture, width, height } = this, { model, painter } = picture;
    const still = document.createElement("canvas");
    still.width = this.canvas.width;
    still.height = this.canvas.height;
    const c = still.getContext("2d");
    c.scale(this.ratio, this.ratio);
    c.fillStyle = painter.colour.axis;
    c.fillRect(0, 0, width, height);
    for (const s of model.spans) {
      if (s.kind === "wait") continue;
      c.fillStyle = painter.colour[`${s.kind}-band`];
      c.fillRect(this.x(s.began_ns), 0, Math.max(this.x(model.endOf(s)) - this.x(s.began_ns), 2), height);
    }
    const counts = new Uint32Array(Math.max(Math.ceil(width / 3) + 1, 1));
    for (const e of model.events) if (picture.shows(e)) counts[Math.floor(this.x(e.at) / 3)]++;
    const most = Math.log2(1 + counts.reduce((a, b) => Math.max(a, b), 1));
    c.fillStyle = painter.colour.density;
    counts.forEach((n, i) => {
      const h = Math.log2(1 + n) / most * (height - 8);
      if (n) c.fillRect(i * 3, height - 2 - h, 2, h);
    });
    if (model.focusEvent) {
      c.fillStyle = painter.colour.focus;
      c.fillRect(this.x(model.focusEvent.at) - 1, 0, 2, height);
    }
    return still;
  }

  paint() {
    const { picture, width, height } = this, { view, timeline, painter } = picture;
    const c = this.canvas.getContext("2d");
    this.still ||= this.makeStill();
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(this.still, 0, 0);
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const left = Math.max(view.start / timeline.end * width, 0);
    const right = Math.min((view.start + view.width / view.scale) / timeline.end * width, width);
    c.fillStyle = painter.colour.shade;
    c.fillRect(0, 0, left, height);
    c.fillRect(right, 0, width - right, height);
    c.strokeStyle = painter.colour.accent;
    c.lineWidth = 2;
    c.strokeRect(left + 1, 1, Math.max(right - left - 2, 2), height - 2);
  }
}
