// The decisions of a person: for each query {answer: identity, or null for a new animal}
// if there is an answer, {rejected: [identities]}, and {when}, {who}, {name}.
const data = JSON.parse(document.getElementById("data").textContent);
const storageKey = "whale-id report " + document.body.dataset.key;
const sections = [...document.querySelectorAll(".query")];
let decisions = load();
let past = [];
let current = 0;
let chosen = 0;

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey) || "{}");
    return kept && typeof kept === "object" && !Array.isArray(kept) ? kept : {};
  } catch {
    return {};
  }
}

function save() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(decisions));
  } catch {
    element("kept").textContent =
      "This browser cannot store decisions: download them before you close the page.";
  }
}

function decisionOf(query) {
  return Object.hasOwn(decisions, query.id) ? decisions[query.id] : { rejected: [] };
}

// A section contains its photos only while it is near the screen, so that a page with
// hundreds of queries stays fast.
function build(number) {
  const section = sections[number];
  if (section.classList.contains("built")) return;
  const query = data.queries[number];
  section.classList.add("built");
  const told = query.told
    ? [make("details", {}, make("summary", { textContent: "In the table" }), query.told)] : [];
  section.querySelector("h2").replaceWith(
    make("header", {}, make("h2", { textContent: query.id }),
      make("span", { className: "soft", textContent: query.facts }), ...told,
      make("span", { className: "answer" })));
  const asked = make("div", { className: "asked" },
    photo(query.photo, "The query"),
    make("button", { type: "button", className: "new", textContent: "New animal",
      aria: { pressed: "false" } }));
  const candidates = query.candidates.map((candidate) =>
    candidate.new ? limit(candidate) : card(candidate));
  section.append(...note(query), make("div", { className: "sides" }, asked,
    make("div", { className: "candidates" }, ...candidates)));
  section.style.minHeight = "";
  show(number);
}

function note({ note, candidates }) {
  if (!note) return [];
  const rated = candidates.some(({ confidence }) => confidence !== undefined);
  return [make("p", { className: "soft note",
    textContent: rated ? `The percentages hold ${note}.` : `No percentages: ${note}.` })];
}

function release(number) {
  const section = sections[number];
  if (!section.classList.contains("built") || section.contains(document.activeElement)) return;
  section.style.minHeight = `${section.offsetHeight}px`;
  section.classList.remove("built");
  section.replaceChildren(make("h2", { textContent: data.queries[number].id }));
}

function photo(number, what) {
  const { id, image, map } = data.photos[number];
  if (image === undefined) {
    return make("div", { className: "missing", textContent: `${what}: ${id}: not readable` });
  }
  const button = make("button", { type: "button", className: "photo",
    aria: { label: `Compare ${id}` }, dataset: { number } },
  make("img", { src: data.images[image], alt: `${what}: ${id}` }));
  if (map !== undefined) {
    button.classList.add("mapped");
    button.append(make("span", { className: "map" }, make("img",
      { src: data.images[map], alt: `${what}: ${id}, kernel heat map` })));
  }
  return button;
}

function limit({ confidence }) {
  const facts = [make("strong", { textContent: "New animal" }),
    make("span", { textContent: "more likely than the animals after it" })];
  if (confidence !== undefined) facts.push(meter(confidence));
  return make("div", { className: "limit" }, ...facts);
}

function card(candidate) {
  const { identity, rank, score, confidence, best } = candidate;
  const numbers = data.animals[identity];
  const first = best ?? numbers[0];
  const main = first === undefined
    ? make("div", { className: "missing", textContent: "No other photo" })
    : photo(first, "A candidate");
  const others = numbers.filter((number) => number !== first)
    .map((number) => photo(number, "A candidate"));
  const scored = score === undefined ? "" : `, score ${score.toFixed(3)}`;
  const facts = [make("strong", { textContent: identity }),
    make("span", { className: "soft", textContent: `rank ${rank}${scored}` })];
  if (confidence !== undefined) facts.push(meter(confidence));
  return make("figure", { className: "candidate", dataset: { identity } },
    main, make("figcaption", {}, ...facts),
    make("div", { className: "buttons" },
      make("button", { type: "button", className: "accept", textContent: "Accept",
        aria: { pressed: "false", label: `Accept ${identity}` } }),
      make("button", { type: "button", className: "reject", textContent: "Reject",
        aria: { pressed: "false", label: `Reject ${identity}` } })),
    ...(others.length ? [make("div", { className: "strip" }, ...others)] : []));
}

function meter(confidence) {
  return make("span", { className: "confidence" },
    make("meter", { min: 0, max: 1, value: confidence }),
    ` ${Math.round(100 * confidence)}% likely`);
}

function decide(number, kind, identity) {
  const query = data.queries[number];
  const before = structuredClone(decisionOf(query));
  const decision = structuredClone(before);
  const answer = kind === "new" ? null : identity;
  if (kind === "reject") {
    const back = decision.rejected.includes(identity);
    decision.rejected = decision.rejected.filter((other) => other !== identity);
    if (!back) decision.rejected.push(identity);
    if (!back && decision.answer === identity) delete decision.answer;
  } else if (decision.answer === answer) {
    delete decision.answer;
  } else {
    decision.answer = answer;
    decision.rejected = decision.rejected.filter((other) => other !== identity);
  }
  decision.when = new Date().toISOString();
  decision.who = element("who").value.trim();
  past.push({ number, before });
  decisions[query.id] = decision;
  save();
  show(number);
}

function undo() {
  const last = past.pop();
  if (!last) return;
  decisions[data.queries[last.number].id] = last.before;
  save();
  go(last.number);
  show(last.number);
}

function show(number) {
  const section = sections[number];
  const { answer, rejected } = decisionOf(data.queries[number]);
  section.classList.toggle("decided", answer !== undefined);
  section.classList.toggle("is-new", answer === null);
  if (section.classList.contains("built")) {
    press(section.querySelector(".new"), answer === null);
    for (const candidate of section.querySelectorAll(".candidate")) {
      const identity = candidate.dataset.identity;
      candidate.classList.toggle("accepted", answer === identity);
      candidate.classList.toggle("rejected", rejected.includes(identity));
      press(candidate.querySelector(".accept"), answer === identity);
      press(candidate.querySelector(".reject"), rejected.includes(identity));
    }
    section.querySelector(".answer").textContent =
      answer === undefined ? "" : answer === null ? "New animal" : answer;
  }
  const decided = sections.filter((s) => s.classList.contains("decided")).length;
  document.querySelector(".progress").textContent = `${decided} of ${sections.length} decided`;
  element("undo").disabled = past.length === 0;
}

function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

// The query that the keys act on, and its chosen candidate.
function go(number) {
  if (!sections.length) return;
  sections[current].classList.remove("current");
  current = Math.max(0, Math.min(number, sections.length - 1));
  build(current);
  sections[current].classList.add("current");
  choose(0);
  sections[current].scrollIntoView({ block: "start" });
  // Sections built during the scroll change the heights above.
  requestAnimationFrame(() => sections[current].scrollIntoView({ block: "start" }));
}

function choose(place) {
  const cards = [...sections[current].querySelectorAll(".candidate")];
  document.querySelectorAll(".chosen").forEach((card) => card.classList.remove("chosen"));
  if (place >= cards.length) return;
  chosen = place;
  cards[place].classList.add("chosen");
}

function nextUndecided() {
  const count = sections.length;
  for (let step = 1; step <= count; step++) {
    const number = (current + step) % count;
    if (!sections[number].classList.contains("decided")) return go(number);
  }
  go(current);
}

function rows() {
  const table = [["image_id", "decision", "identity", "rank", "score", "confidence",
    "who", "when"]];
  for (const query of data.queries) {
    const { answer, rejected, who = "", when = "" } = decisionOf(query);
    if (answer === null) {
      table.push([query.id, "new", "new_individual", "", "", "", who, when]);
    }
    for (const { identity, rank, score, confidence = "" } of query.candidates) {
      if (identity === undefined) continue;
      const facts = [identity, rank, score?.toFixed(6) ?? "", confidence, who, when];
      if (answer === identity) table.push([query.id, "accept", ...facts]);
      if (rejected.includes(identity)) table.push([query.id, "reject", ...facts]);
    }
  }
  return table;
}

// A spreadsheet would run a name such as =1+1 as a formula. Such names get an apostrophe
// in front, and so do names that already have one, so that removing one apostrophe
// restores every name. Numbers stay numbers.
function harmless(value) {
  const text = String(value);
  const number = /^[+-]?\d+(\.\d*)?$/.test(text);
  return /^'*[=+\-@\t\r]/.test(text) && !number ? `'${text}` : text;
}

function csv() {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows().map((row) => row.map(harmless).map(quoted).join(",") + "\r\n").join("");
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function enlarge(number, identity, shown) {
  const query = data.queries[number];
  const candidate = query.candidates.find((c) => c.identity === identity);
  const points = candidate && candidate.best === shown ? candidate.points : undefined;
  const pair = [large(query.photo, "The query")];
  if (shown !== query.photo) pair.push(large(shown, identity ?? ""));
  const others = identity === undefined ? [] : data.animals[identity].map((other) => {
    const button = photo(other, "A candidate");
    if (other === shown) button.classList.add("chosen");
    button.addEventListener("click", () => enlarge(number, identity, other));
    return button;
  });
  compare(pair, points, others);
}

function large(number, what) {
  const { id, image, map } = data.photos[number];
  const mapped = document.body.classList.contains("maps") && map !== undefined;
  return { image: data.images[mapped ? map : image], caption: `${what}: ${id}`,
    alt: `${what}: ${id}${mapped ? ", kernel heat map" : ""}` };
}

function pressedKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input") || element("large").open) return;
  const cards = [...sections[current].querySelectorAll(".candidate")];
  const identity = cards[chosen]?.dataset.identity;
  const key = event.key.toLowerCase();
  const onButton = event.target.matches("button");
  if (/^[1-9]$/.test(key)) choose(Number(key) - 1);
  else if (key === "a" && identity !== undefined) decide(current, "accept", identity);
  else if (key === "r" && identity !== undefined) decide(current, "reject", identity);
  else if (key === "n") decide(current, "new");
  else if (key === "u") undo();
  else if (key === "j") go(current + 1);
  else if (key === "k") go(current - 1);
  else if (key === "enter" && !onButton) cards[chosen]?.querySelector(".photo")?.click();
  else return;
  event.preventDefault();
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const number = sections.indexOf(entry.target);
    if (entry.isIntersecting) build(number);
    else if (number !== current) release(number);
  }
}, { rootMargin: "1200px 0px" });

sections.forEach((section, number) => {
  section.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    if (current !== number) {
      sections[current].classList.remove("current");
      current = number;
      section.classList.add("current");
    }
    const identity = button.closest(".candidate")?.dataset.identity;
    const photo = Number(button.dataset.number);
    if (button.classList.contains("photo")) enlarge(number, identity, photo);
    else decide(number, button.classList[0], identity);
  });
  show(number);
  near.observe(section);
});

try {
  element("who").value = localStorage.getItem("whale-id who") || "";
} catch { /* this browser has no storage */ }
element("who").addEventListener("change", ({ target }) => {
  try { localStorage.setItem("whale-id who", target.value); } catch { /* as above */ }
});
if (sections.length) {
  build(0);
  sections[0].classList.add("current");
  choose(0);
}
document.addEventListener("keydown", pressedKey);
element("undo").addEventListener("click", undo);
element("next").addEventListener("click", nextUndecided);
element("maps").addEventListener("change", ({ target }) => {
  document.body.classList.toggle("maps", target.checked);
});
element("clear").addEventListener("click", () => {
  if (!confirm("Clear all decisions of this page?")) return;
  decisions = {};
  past = [];
  save();
  sections.forEach((section, number) => show(number));
});
element("download").addEventListener("click", download);
window.addEventListener("beforeprint", () => sections.forEach((s, number) => build(number)));
