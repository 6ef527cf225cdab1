"use strict";
// What a person decides: for each query {answer: identity, or null for a new animal}
// where there is an answer, and {rejected: [identities]}.
const storageKey = "whale-id report " + document.body.dataset.key;
const queries = [...document.querySelectorAll(".query")];
let decisions = load();

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
    document.getElementById("kept").textContent =
      "This browser keeps nothing: download the decisions before the page is closed.";
  }
}

function decisionOf(query) {
  const name = query.dataset.image;
  if (!Object.hasOwn(decisions, name)) decisions[name] = { rejected: [] };
  return decisions[name];
}

function decide(query, kind, identity) {
  const decision = decisionOf(query);
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
  save();
  show(query);
}

function show(query) {
  const { answer, rejected } = decisionOf(query);
  query.classList.toggle("decided", answer !== undefined);
  query.classList.toggle("is-new", answer === null);
  press(query.querySelector(".new"), answer === null);
  for (const candidate of query.querySelectorAll(".candidate")) {
    const identity = candidate.dataset.identity;
    candidate.classList.toggle("accepted", answer === identity);
    candidate.classList.toggle("rejected", rejected.includes(identity));
    press(candidate.querySelector(".accept"), answer === identity);
    press(candidate.querySelector(".reject"), rejected.includes(identity));
  }
  query.querySelector(".answer").textContent =
    answer === undefined ? "" : answer === null ? "New animal" : answer;
  const decided = queries.filter((q) => q.classList.contains("decided")).length;
  document.querySelector(".progress").textContent =
    `${decided} of ${queries.length} decided`;
}

function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

function rows() {
  const table = [["image_id", "decision", "identity", "rank", "score", "confidence"]];
  for (const query of queries) {
    const { answer, rejected } = decisionOf(query);
    const image = query.dataset.image;
    if (answer === null) table.push([image, "new", "new_individual", "", "", ""]);
    for (const { dataset } of query.querySelectorAll(".candidate")) {
      const { identity, rank, score, confidence = "" } = dataset;
      const facts = [identity, rank, score, confidence];
      if (answer === identity) table.push([image, "accept", ...facts]);
      if (rejected.includes(identity)) table.push([image, "reject", ...facts]);
    }
  }
  return table;
}

// A person opens this file with a spreadsheet, which would run a name such as =1+1: it
// gets an apostrophe in front, and so does one that has them there already, so that
// taking one away again gives every name back. Numbers stay numbers.
function harmless(text) {
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

function enlarge(photograph) {
  const asked = photograph.closest(".query").querySelector(".asked .photograph");
  const large = (button) => {
    const map = document.body.classList.contains("maps") && button.querySelector(".map img");
    const picture = (map || button.querySelector("img")).cloneNode();
    const caption = document.createElement("figcaption");
    caption.textContent = picture.alt;
    const figure = document.createElement("figure");
    figure.append(picture, caption);
    return figure;
  };
  const pair = [...new Set([asked, photograph])].filter(Boolean).map(large);
  document.querySelector("#large .pair").replaceChildren(...pair);
  document.getElementById("large").showModal();
}

for (const query of queries) {
  query.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    const identity = button.closest(".candidate")?.dataset.identity;
    if (button.classList.contains("photograph")) enlarge(button);
    else decide(query, button.classList[0], identity);
  });
  show(query);
}

document.getElementById("next").addEventListener("click", () => {
  const open = queries.find((query) => !query.classList.contains("decided"));
  (open || queries[0])?.scrollIntoView({ block: "start" });
});
document.getElementById("maps").addEventListener("change", ({ target }) => {
  document.body.classList.toggle("maps", target.checked);
});
document.getElementById("clear").addEventListener("click", () => {
  if (!confirm("Clear all decisions of this page?")) return;
  decisions = {};
  save();
  queries.forEach(show);
});
document.getElementById("download").addEventListener("click", download);
