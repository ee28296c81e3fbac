// SPDX-License-Identifier: Apache-2.0
// Marks: the small shapes of events. Each is drawn around (0, 0) in a square of 14 pixels, so that
// the legend and the picture show the same.

const SHAPES = {
  start: (c) => polygon(c, [-4, -5, 5, 0, -4, 5]),
  exit: (c) => strokes(c, [[-4, -4, 4, 4], [4, -4, -4, 4]], 2.4),
  stop: (c) => { c.fillRect(-4, -5, 3, 10); c.fillRect(1, -5, 3, 10); },
  signal: (c) => polygon(c, [1, -7, -5, 1, -1, 1, -2, 7, 5, -2, 1, -2]),
  storm: (c) => strokes(c, [[-6, 3, -3, -4], [-3, -4, 0, 3], [0, 3, 3, -4], [3, -4, 6, 3]], 1.8),
  fault: (c) => {
    polygon(c, [0, -6, 7, 6, -7, 6]);
    c.fillStyle = c.hole;
    c.fillRect(-1, -2, 2, 4);
    c.fillRect(-1, 3, 2, 2);
  },
  call: (c) => polygon(c, [0, -6, 6, 0, 0, 6, -6, 0]),
  output: (c) => {
    polygon(c, [-6, -5, 6, -5, 6, 3, -1, 3, -4, 6, -4, 3, -6, 3]);
    c.fillStyle = c.hole;
    c.fillRect(-4, -3, 8, 1.2);
    c.fillRect(-4, -0.4, 5, 1.2);
  },
  socket: (c) => { // two states, one after the other
    c.fillRect(-7, -4, 14, 8);
    c.fillStyle = c.hole;
    c.fillRect(1, -2.5, 4.5, 5);
  },
  packet: (c) => { strokes(c, [[-6, -3, 4, 2]], 1.6); polygon(c, [7, 4, 1, 4, 4, -2]); },
  wait: (c) => polygon(c, [-5, -6, 5, -6, -5, 6, 5, 6]),
  verdict: (c) => { c.fillRect(-5, -7, 2, 14); polygon(c, [-3, -6, 6, -3, -3, 1]); },
  note: (c) => disc(c, 3),
};

function polygon(c, points) {
  c.beginPath();
  for (let i = 0; i < points.length; i += 2) c.lineTo(points[i], points[i + 1]);
  c.closePath();
  c.fill();
}

function strokes(c, lines, width) {
  c.strokeStyle = c.fillStyle;
  c.lineWidth = width;
  c.lineCap = "round";
  c.beginPath();
  for (const [x, y, toX, toY] of lines) { c.moveTo(x, y); c.lineTo(toX, toY); }
  c.stroke();
}

function disc(c, radius) {
  c.beginPath();
  c.arc(0, 0, radius, 0, 2 * Math.PI);
  c.fill();
}

// drawMark draws the shape of a kind around a point, with a thin border in the colour of the ground.
function drawMark(c, kind, x, y, colour, ground) {
  c.save();
  c.translate(x, y);
  c.hole = ground;
  c.fillStyle = colour;
  (SHAPES[kind] || SHAPES.note)(c);
  c.restore();
}

// GRAVITY is the order in which the kinds speak for a cluster.
const GRAVITY = ["verdict", "fault", "signal", "storm", "exit", "call", "stop", "start", "wait", "output", "socket", "packet", "note"];

function gravest(events) {
  return events.reduce((best, e) => (GRAVITY.indexOf(e.kind) < GRAVITY.indexOf(best.kind) ? e : best));
}
