const NEW = "new_individual";

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new FormData();
  for (const file of element("files").files) body.append("images[]", file);
  const token = element("token")?.value.trim() ?? "";
  const button = event.target.querySelector("button");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  element("say").textContent = "Comparing...";
  element("answer").hidden = true;
  button.disabled = true;
  try {
    if (/[^ -~]/.test(token)) throw new Error("The bearer token is missing or wrong.");
    const response = await fetch("compare", { method: "POST", body, headers });
    const text = await response.text();
    let answer = {};
    try { answer = JSON.parse(text); } catch { /* a proxy may answer with a page */ }
    if (!answer.matches) {
      throw new Error(answer.detail ?? `The server returned status ${response.status}.`);
    }
    show(answer);
    element("say").textContent = "";
  } catch (error) {
    element("say").textContent = error instanceof TypeError
      ? "The server does not respond." : error.message;
  }
  button.disabled = false;
});

function show(answer) {
  const first = answer.matches[0];
  element("verdict").textContent = answer.new
    ? "New animal: none of the known animals is similar enough"
    : answer.new === false ? `Most likely ${first.id}` : `Most similar: ${first.id}`;
  element("verdict").classList.toggle("is-new", answer.new === true);
  element("meaning").textContent = meaning(answer);
  element("asked").replaceChildren(...answer.images.map((image, place) =>
    button({ image, id: `photo ${place + 1}` }, "Your photo", () =>
      compare([{ image, caption: "Your photo", alt: "Your photo" }]))));
  element("matches").replaceChildren(...answer.matches.map((match) =>
    match.id === NEW ? fresh(match, answer) : known(match, answer)));
  element("answer").hidden = false;
}

function meaning({ note, calibrated }) {
  const said = calibrated
    ? `The percentages are calibrated probabilities${note && `, ${note}`}.`
    : `${note && `No percentages: ${note}. `}Scores only rank the animals; they are not probabilities.`;
  return `${said} A person decides.`;
}

function fresh(match, answer) {
  return make("li", { className: "is-new" },
    make("h3", {}, `${match.rank}. New animal`, rating(match, answer)),
    make("p", { className: "details", textContent: match.details }));
}

function known(match, answer) {
  const points = match.points?.length
    ? [make("p", { className: "details soft",
      textContent: `${match.points.length} matched points; click the first photo` })] : [];
  return make("li", {}, make("h3", {}, `${match.rank}. ${match.id}`, rating(match, answer)),
    make("p", { className: "details soft", textContent: match.details }), ...points,
    make("div", { className: "strip" }, ...strip(match, answer, 0)));
}

function rating(match, answer) {
  const text = answer.calibrated
    ? `${Math.round(100 * match.rating)}% likely` : "";
  return make("span", { className: "soft rating", textContent: text });
}

function strip(match, answer, chosen) {
  return match.photos.map((photo, place) => {
    const made = button(photo, match.id, () => enlarge(match, answer, place));
    if (chosen && place === chosen) made.classList.add("chosen");
    return made;
  });
}

function enlarge(match, answer, place) {
  const { id, image } = match.photos[place];
  const caption = `${match.id}: ${id}`;
  compare([
    { image: answer.images[0], caption: "Your photo", alt: "Your photo" },
    { image, caption, alt: caption },
  ], place === 0 && match.points?.length ? match.points : undefined,
  strip(match, answer, place));
}

function button({ image, id }, what, pressed) {
  if (!image) {
    return make("div", { className: "missing", textContent: `${id}: not readable` });
  }
  const made = make("button", { type: "button", className: "photo",
    aria: { label: `Compare ${id}` } }, make("img", { src: image, alt: `${what}: ${id}` }));
  made.addEventListener("click", pressed);
  return made;
}
