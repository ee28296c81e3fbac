// SPDX-License-Identifier: Apache-2.0
// Pointer, wheel, fingers and keys on the picture.

const STILL = 4; // a pointer that moves less than so many pixels clicks

class Input {
  constructor(picture) {
    this.picture = picture;
    this.pointers = new Map();
    const { canvas, stage } = picture;
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => picture.hover(null));
    canvas.addEventListener("dblclick", (event) => picture.zoom(2.5, this.place(event).x));
    stage.addEventListener("keydown", (event) => this.key(event));
  }

  place(event) {
    const box = this.picture.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  // wheel zooms where the picture is all there is, or has the focus; otherwise the page scrolls.
  wheel(event) {
    const { picture } = this;
    if (!picture.alone && !event.ctrlKey && !event.shiftKey && document.activeElement !== picture.stage) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      picture.pan(-(event.deltaX || event.deltaY) * unit, 0);
      return;
    }
    picture.zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0022)), this.place(event).x);
  }

  down(event) {
    if (event.button > 0) return;
    this.picture.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { ...this.place(event), moved: 0 });
    this.picture.stage.focus({ preventScroll: true });
  }

  move(event) {
    const now = this.place(event), before = this.pointers.get(event.pointerId);
    if (!before) {
      this.picture.hover(now);
      return;
    }
    const dx = now.x - before.x, dy = now.y - before.y;
    const moved = before.moved + Math.abs(dx) + Math.abs(dy);
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const was = Math.abs(before.x - other.x), is = Math.abs(now.x - other.x);
      if (was > 10 && is > 10) this.picture.zoom(is / was, (now.x + other.x) / 2);
      this.picture.pan(dx / 2, 0);
    } else if (moved >= STILL) {
      this.picture.pan(dx, event.pointerType === "touch" ? 0 : dy);
      this.picture.hover(null);
      this.picture.canvas.classList.add("moving");
    }
    this.pointers.set(event.pointerId, { ...now, moved });
  }

  up(event) {
    const pointer = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    this.picture.canvas.classList.remove("moving");
    if (!pointer || pointer.moved >= STILL || event.type === "pointercancel") return;
    this.picture.click(this.place(event));
  }

  key(event) {
    if (event.target !== this.picture.stage || event.altKey || event.metaKey || event.ctrlKey) return;
    const { picture } = this, far = picture.view.width / 5;
    const acts = {
      ArrowLeft: () => (event.shiftKey ? picture.pan(far, 0) : picture.step(-1)),
      ArrowRight: () => (event.shiftKey ? picture.pan(-far, 0) : picture.step(1)),
      ArrowUp: () => picture.stepLane(-1),
      ArrowDown: () => picture.stepLane(1),
      Home: () => picture.step(-Infinity),
      End: () => picture.step(Infinity),
      "+": () => picture.zoom(1.6), "=": () => picture.zoom(1.6), "-": () => picture.zoom(1 / 1.6),
      0: () => picture.fit(),
      f: () => picture.showFocus(),
      s: () => picture.setStory(!picture.timeline.story),
      v: () => picture.setOnlyInView(!picture.onlyInView),
      t: () => picture.openTable(),
      "/": () => picture.controls.search.focus(),
      "?": () => picture.controls.toggleHelp(),
      Enter: () => { if (picture.selected) picture.panel.event.focus(); },
      Escape: () => picture.select(null),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}
