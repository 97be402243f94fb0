"use strict";
// Reads the data written into the page; draws the map on a canvas; searches; shows nearest words. No network, no library.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
const words = data.words;
const lowered = words.map((word) => word.toLowerCase());
const points = new Uint16Array(bytes(data.points)); // x0 y0 x1 y1 ..., y upwards
const neighbourIds = new Uint16Array(bytes(data.ids));
const similarities = new Int16Array(bytes(data.similarities));
const k = data.neighbours;

const canvas = element("map");
const context = canvas.getContext("2d");
const view = { scale: 1, x: 0, y: 0 }; // a point of the map at (px, py) is drawn at (px * scale + x, -py * scale + y)
let width = 0, height = 0, fitted = 1, chosen = -1, hovered = -1, drawn = [], scheduled = false;

const screenX = (i) => points[2 * i] * view.scale + view.x;
const screenY = (i) => -points[2 * i + 1] * view.scale + view.y;
const neighboursOf = (i) => Array.from(neighbourIds.subarray(i * k, (i + 1) * k));

// ---- drawing

function redraw() {
  if (!scheduled) {
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; draw(); });
  }
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const near = chosen < 0 ? [] : neighboursOf(chosen);
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.fillStyle = color("--ground");
  context.fillRect(0, 0, width, height);
  const visible = [];
  for (let i = 0; i < words.length; i++) {
    const x = screenX(i), y = screenY(i);
    if (x > -20 && x < width + 20 && y > -20 && y < height + 20) visible.push(i);
  }
  const radius = Math.min(3.5, 1.5 + 0.5 * Math.log2(Math.max(1, view.scale / fitted)));
  context.fillStyle = color("--dot");
  context.globalAlpha = chosen < 0 ? 0.75 : 0.4;
  for (const i of visible) dot(i, radius);
  context.globalAlpha = 0.55;
  context.strokeStyle = color("--near");
  context.lineWidth = 1;
  for (const i of near) line(chosen, i);
  context.globalAlpha = 1;
  context.fillStyle = color("--near");
  for (const i of near) dot(i, 3.5);
  context.fillStyle = color("--accent");
  if (chosen >= 0) dot(chosen, 6);
  if (hovered >= 0) dot(hovered, 5);
  labels(visible, near, color);
}

function dot(i, radius) {
  context.beginPath();
  context.arc(screenX(i), screenY(i), radius, 0, 2 * Math.PI);
  context.fill();
}

function line(i, j) {
  context.beginPath();
  context.moveTo(screenX(i), screenY(i));
  context.lineTo(screenX(j), screenY(j));
  context.stroke();
}

// Labels in the order of their importance, each where it overlaps none before it; the grid finds those nearby.
function labels(visible, near, color) {
  drawn = [];
  const grid = new Map(), cell = 64, buttons = element("buttons");
  free(grid, cell, { left: buttons.offsetLeft, top: 0, right: width, bottom: buttons.offsetTop + buttons.offsetHeight });
  const special = new Set([hovered, chosen, ...near].filter((i) => i >= 0));
  const put = (i, font, size, fill, tries) => {
    context.font = font;
    const text = words[i].length > 40 ? words[i].slice(0, 39) + "\u2026" : words[i];
    const w = context.measureText(text).width, h = size * 1.15, gap = size * 0.5;
    const x = screenX(i), y = screenY(i);
    for (const [left, top] of candidates(x, y, w, h, gap, tries)) {
      const box = { i, left: left - 2, top: top - 1, right: left + w + 2, bottom: top + h + 1 };
      if (box.left < 0 || box.top < 0 || box.right > width || box.bottom > height) continue;
      if (!free(grid, cell, box)) continue;
      drawn.push(box);
      context.lineWidth = 3;
      context.lineJoin = "round";
      context.strokeStyle = color("--ground");
      context.strokeText(text, left, top + h / 2);
      context.fillStyle = fill;
      context.fillText(text, left, top + h / 2);
      return true;
    }
    return false;
  };
  context.textBaseline = "middle";
  context.direction = "ltr"; // positions are computed from the left; the letters of a word still run their own way
  if (hovered >= 0) put(hovered, "bold 16px system-ui, sans-serif", 16, color("--accent"), 6);
  if (chosen >= 0 && chosen !== hovered) put(chosen, "bold 18px system-ui, sans-serif", 18, color("--accent"), 6);
  for (const i of near) if (i !== hovered) put(i, "600 15px system-ui, sans-serif", 15, color("--near"), 3);
  let room = Math.round((width * height) / 4000); // more labels than this would be a wall of text
  let rank = 0;
  for (const i of visible) {
    if (room <= 0 || rank > 4000) break;
    rank++;
    if (special.has(i)) continue;
    const prominent = drawn.length < 10 && chosen < 0;
    const font = prominent ? "600 16px system-ui, sans-serif" : "13px system-ui, sans-serif";
    if (put(i, font, prominent ? 16 : 13, color(chosen < 0 ? "--ink" : "--soft"), prominent ? 6 : 1)) room--;
  }
}

function candidates(x, y, w, h, gap, tries) {
  const found = [];
  for (let ring = 1; ring <= tries; ring++) {
    const d = gap * ring, s = d * 0.7;
    found.push([x + d, y - h / 2], [x + s, y - s - h], [x + s, y + s], [x - w / 2, y - d - h], [x - w / 2, y + d],
      [x - d - w, y - h / 2], [x - s - w, y - s - h], [x - s - w, y + s]);
  }
  return found;
}

function free(grid, cell, box) {
  const keys = [];
  for (let gx = Math.floor(box.left / cell); gx <= box.right / cell; gx++) {
    for (let gy = Math.floor(box.top / cell); gy <= box.bottom / cell; gy++) {
      const key = gx * 100000 + gy;
      keys.push(key);
      for (const other of grid.get(key) || []) {
        if (box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top) return false;
      }
    }
  }
  for (const key of keys) grid.has(key) ? grid.get(key).push(box) : grid.set(key, [box]);
  return true;
}

// ---- moving about

function resize() {
  const box = canvas.getBoundingClientRect();
  const first = !width;
  width = box.width;
  height = box.height;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  first ? fit() : redraw();
}

function fit() {
  const low = [65535, 65535], high = [0, 0];
  points.forEach((value, at) => {
    low[at % 2] = Math.min(low[at % 2], value);
    high[at % 2] = Math.max(high[at % 2], value);
  });
  const size = [Math.max(1, high[0] - low[0]), Math.max(1, high[1] - low[1])];
  fitted = Math.min((width * 0.88) / size[0], (height * 0.88) / size[1]);
  view.scale = fitted;
  view.x = width / 2 - ((low[0] + high[0]) / 2) * view.scale;
  view.y = height / 2 + ((low[1] + high[1]) / 2) * view.scale;
  redraw();
}

function zoom(factor, x = width / 2, y = height / 2) {
  const scale = Math.min(fitted * 400, Math.max(fitted * 0.5, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  redraw();
}

function move(dx, dy) {
  view.x += dx;
  view.y += dy;
  redraw();
}

// The word under the pointer: its label, else the nearest dot within 12 px.
function wordAt(x, y) {
  for (const box of drawn) if (x >= box.left && x <= box.right && y >= box.top && y <= box.bottom) return box.i;
  let best = -1, least = 144;
  for (let i = 0; i < words.length; i++) {
    const distance = (screenX(i) - x) ** 2 + (screenY(i) - y) ** 2;
    if (distance < least) { least = distance; best = i; }
  }
  return best;
}

const pointers = new Map();
let travelled = 0;

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  if (pointers.size === 1) travelled = 0;
});
canvas.addEventListener("pointermove", (event) => {
  const at = [event.offsetX, event.offsetY], before = pointers.get(event.pointerId);
  if (!before) {
    const over = wordAt(...at);
    canvas.classList.toggle("over", over >= 0);
    if (over !== hovered) { hovered = over; redraw(); }
    return;
  }
  travelled += Math.hypot(at[0] - before[0], at[1] - before[1]);
  if (pointers.size === 1) {
    canvas.classList.add("dragged");
    move(at[0] - before[0], at[1] - before[1]);
  } else {
    const [id] = [...pointers.keys()].filter((other) => other !== event.pointerId), other = pointers.get(id);
    const span = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
    zoom(span(at) / span(before), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
  }
  pointers.set(event.pointerId, at);
});
for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => {
  const alone = pointers.size === 1;
  pointers.delete(event.pointerId);
  canvas.classList.remove("dragged");
  if (kind === "pointerup" && alone && travelled < 6) choose(wordAt(event.offsetX, event.offsetY));
});
canvas.addEventListener("pointerleave", () => { hovered = -1; redraw(); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
  zoom(Math.exp(-Math.max(-300, Math.min(300, pixels)) * 0.0025), event.offsetX, event.offsetY);
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const act = { "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": fit, Escape: () => choose(-1),
    ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60) };
  if (act[event.key]) { event.preventDefault(); act[event.key](); }
});
element("zoom-in").onclick = () => zoom(1.5);
element("zoom-out").onclick = () => zoom(1 / 1.5);
element("fit").onclick = fit;

// ---- the chosen word; it stands in the address, so "back" works and a word can be bookmarked

function choose(i, bringIntoView = false) {
  chosen = i;
  const address = i < 0 ? "#" : "#word=" + encodeURIComponent(words[i]);
  if (location.hash !== address && !(i < 0 && !location.hash)) history.pushState(null, "", address);
  element("chosen").hidden = i < 0;
  element("hint").hidden = i >= 0;
  if (i >= 0) {
    element("word").textContent = words[i];
    const count = data.counts ? `, ${data.counts[i].toLocaleString("en")} times in the text` : "";
    element("about").textContent = `word ${(i + 1).toLocaleString("en")} of ${words.length.toLocaleString("en")}${count}. ` +
      (k ? "Nearest words, by cosine similarity:" : "There is no other word.");
    element("neighbours").replaceChildren(...neighboursOf(i).map((j, rank) => item(j, similarities[i * k + rank] / 10000)));
    if (bringIntoView) show(i);
  }
  redraw();
}

function item(j, similarity) {
  const button = document.createElement("button"), word = document.createElement("bdi");
  const value = document.createElement("span"), bar = document.createElement("span"), row = document.createElement("li");
  button.type = "button";
  word.textContent = words[j];
  value.className = "value";
  value.textContent = similarity.toFixed(4);
  bar.className = "bar";
  bar.style.width = `${Math.max(0, similarity) * 100}%`;
  button.append(word, value, bar);
  button.onclick = () => choose(j, true);
  row.append(button);
  return row;
}

// The word and its ten nearest, as large as they fit.
function show(i) {
  const group = [i, ...neighboursOf(i).slice(0, 10)];
  const range = (values) => [Math.min(...values), Math.max(...values)];
  const [left, right] = range(group.map((j) => points[2 * j])), [low, high] = range(group.map((j) => points[2 * j + 1]));
  const scale = Math.min((width * 0.7) / Math.max(1, right - left), (height * 0.7) / Math.max(1, high - low));
  view.scale = Math.min(fitted * 40, Math.max(fitted, scale));
  view.x = width / 2 - ((left + right) / 2) * view.scale;
  view.y = height / 2 + ((low + high) / 2) * view.scale;
}

function chooseFromAddress() {
  const match = /^#word=(.*)$/.exec(location.hash);
  let i = -1;
  try { i = match ? words.indexOf(decodeURIComponent(match[1])) : -1; } catch { /* not our address */ }
  if (i !== chosen) choose(i, true);
}
addEventListener("popstate", chooseFromAddress);
