// SPDX-License-Identifier: Apache-2.0
// Elements of the page. Texts become text nodes and attributes, never markup.

// el makes an element: properties that begin with "on" are listeners, the others are attributes.
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

// symbol is a small canvas with the mark of a kind.
function symbol(kind, painter) {
  const canvas = el("canvas", { class: "symbol", "aria-hidden": "true", "data-kind": kind });
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = 18 * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  drawMark(c, kind, 9, 9, painter.colour[`mark-${kind}`], painter.colour.ground);
  return canvas;
}
