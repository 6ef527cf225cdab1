"use strict";
// Two photos side by side. Zooming applies to both, so that they show the same part.
const element = (id) => document.getElementById(id);
const view = { scale: 1, x: 0, y: 0 };

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { dataset = {}, aria = {}, ...others } = properties;
  Object.assign(made, others);
  Object.assign(made.dataset, dataset);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children);
  return made;
}

// Shows up to two photos {image, caption, alt}, their matched points [x, y, x, y], and
// buttons for other photos below.
function compare(pair, points, others) {
  document.querySelector("#large .pair").replaceChildren(
    ...pair.map((shown, place) => pane(shown, points, 2 * place)));
  document.querySelector("#large .others").replaceChildren(...others);
  element("points-label").hidden = !points;
  if (!element("large").open) element("large").showModal();
  zoomTo(1, 0, 0);
}

function pane({ image, caption, alt }, points, column) {
  const words = make("figcaption", { textContent: caption });
  if (!image) {
    return make("figure", {}, make("div", { className: "missing", textContent: alt }), words);
  }
  const large = make("img", { src: image, alt, draggable: false });
  const moved = make("div", { className: "moved" }, large);
  large.addEventListener("load", () => {
    moved.style.setProperty("--ratio", large.naturalWidth / large.naturalHeight);
  });
  if (points) moved.append(dots(points, column));
  return make("figure", {}, make("div", { className: "window" }, moved), words);
}

function dots(points, column) {
  const layer = make("div", { className: "dots" });
  points.forEach((point, place) => {
    const dot = make("i", { title: `point ${place + 1}` });
    dot.style.left = `${100 * point[column]}%`;
    dot.style.top = `${100 * point[column + 1]}%`;
    dot.style.background = `hsl(${(place * 137) % 360} 90% 55%)`;
    layer.append(dot);
  });
  return layer;
}

function zoomTo(scale, x, y) {
  view.scale = Math.max(1, Math.min(scale, 12));
  const most = (view.scale - 1) / 2;
  view.x = Math.max(-most, Math.min(x, most));
  view.y = Math.max(-most, Math.min(y, most));
  for (const moved of document.querySelectorAll("#large .moved")) {
    moved.style.transform =
      `translate(${100 * view.x}%, ${100 * view.y}%) scale(${view.scale})`;
    moved.style.setProperty("--scale", view.scale);
  }
}

function linkZoom(pair) {
  pair.addEventListener("wheel", (event) => {
    const frame = event.target.closest(".window")?.getBoundingClientRect();
    if (!frame) return;
    event.preventDefault();
    const scale = Math.max(1, Math.min(view.scale * Math.exp(-event.deltaY / 300), 12));
    // The point below the pointer stays where it is.
    const x = (event.clientX - frame.left) / frame.width - 0.5;
    const y = (event.clientY - frame.top) / frame.height - 0.5;
    const ratio = scale / view.scale;
    zoomTo(scale, x - (x - view.x) * ratio, y - (y - view.y) * ratio);
  }, { passive: false });
  pair.addEventListener("pointerdown", (event) => {
    const frame = event.target.closest(".window")?.getBoundingClientRect();
    if (!frame) return;
    pair.setPointerCapture(event.pointerId);
    const begun = { ...view, left: event.clientX, top: event.clientY };
    pair.onpointermove = (move) => zoomTo(view.scale,
      begun.x + (move.clientX - begun.left) / frame.width,
      begun.y + (move.clientY - begun.top) / frame.height);
    pair.onpointerup = () => { pair.onpointermove = null; };
  });
  pair.addEventListener("dblclick", () => zoomTo(view.scale > 1 ? 1 : 3, view.x, view.y));
}

linkZoom(document.querySelector("#large .pair"));
element("whole").addEventListener("click", () => zoomTo(1, 0, 0));
element("close").addEventListener("click", () => element("large").close());
element("points").addEventListener("change", ({ target }) => {
  element("large").classList.toggle("no-points", !target.checked);
});
