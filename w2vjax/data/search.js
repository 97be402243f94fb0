// ---- search: words that start with the text, then words that contain it, the frequent first

const query = element("query"), list = element("suggestions");
let offered = [], active = -1;

function matches(text) {
  const sought = text.toLowerCase(), starting = [], containing = [];
  lowered.forEach((word, i) => {
    if (word.startsWith(sought)) starting.push(i);
    else if (word.includes(sought)) containing.push(i);
  });
  const exact = words.indexOf(text);
  const found = [...starting, ...containing];
  return (exact < 0 ? found : [exact, ...found.filter((i) => i !== exact)]).slice(0, 8);
}

function suggest() {
  const text = query.value.trim();
  offered = text ? matches(text) : [];
  active = offered.length ? 0 : -1;
  list.replaceChildren(...offered.map((i, place) => {
    const row = document.createElement("li"), word = document.createElement("bdi");
    row.setAttribute("role", "option");
    row.id = `suggestion-${place}`;
    word.textContent = words[i];
    row.append(word);
    row.onpointerdown = (event) => { event.preventDefault(); take(i); };
    return row;
  }));
  if (text && !offered.length) {
    const row = document.createElement("li");
    row.textContent = "No word on this page contains that.";
    list.append(row);
  }
  open(Boolean(text));
  mark();
}

function open(shown) {
  list.hidden = !shown;
  query.setAttribute("aria-expanded", String(shown));
}

function mark() {
  [...list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === active)));
  active < 0 ? query.removeAttribute("aria-activedescendant") : query.setAttribute("aria-activedescendant", `suggestion-${active}`);
}

function take(i) {
  query.value = words[i];
  open(false);
  choose(i, true);
}

query.addEventListener("input", suggest);
query.addEventListener("focus", () => { query.select(); if (query.value.trim() && chosen < 0) suggest(); });
query.addEventListener("blur", () => open(false));
query.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) suggest();
    else if (offered.length) active = (active + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length;
    mark();
  } else if (event.key === "Enter" && offered.length && !list.hidden) take(offered[active]);
  else if (event.key === "Escape") open(false);
});
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== query) { event.preventDefault(); query.focus(); }
});

// ---- start

const dark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = (name) => { document.documentElement.dataset.theme = name; redraw(); };
setTheme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
element("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
element("axes").textContent = `Across: ${data.axes[0]}. Up: ${data.axes[1]}.`;
const some = words.length < data.vocabulary;
element("note").textContent = some
  ? `The first ${words.length.toLocaleString("en")} of ${data.vocabulary.toLocaleString("en")} words, in ${data.dim} dimensions. Neighbours are looked for among them.`
  : `All ${words.length.toLocaleString("en")} words, in ${data.dim} dimensions.`;
new ResizeObserver(resize).observe(canvas);
resize();
chooseFromAddress();
