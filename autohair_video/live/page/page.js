"use strict";

const at = (id) => document.getElementById(id);
let largestUpload = 0;
let saidUntil = 0;
let told = "";

function show(text) {
  // a screen reader reads whatever is set anew, even to the same
  if (at("message").textContent !== text) at("message").textContent = text;
}

function say(text) {
  saidUntil = Date.now() + 6000;
  show(text);
}

// What the program tells stands as long as it tells it; what the page says goes before it, until there is news.
function tell(text) {
  if (text && text !== told) saidUntil = 0;
  told = text;
  if (Date.now() > saidUntil) show(text);
}

async function call(path, options = {}) {
  const answer = await fetch(path, options).catch(() => { throw new Error("No connection to the program"); });
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

function change(settings) {
  const headers = { "Content-Type": "application/json" };
  return call("settings", { method: "POST", headers, body: JSON.stringify(settings) })
    .then((answer) => answer.json()).then(draw).catch((error) => say(error.message));
}

function drawBackgrounds(state) {
  const menu = at("background");
  const names = JSON.stringify(state.backgrounds);
  if (menu.dataset.names !== names) {
    menu.replaceChildren(...state.backgrounds.map((name, number) => new Option(name, number)));
    menu.dataset.names = names;
  }
  if (document.activeElement !== menu) menu.value = state.background;
}

function drawTiers(state) {
  const menu = at("tier");
  if (!menu.childElementCount) menu.replaceChildren(...state.tiers.map((tier) => new Option(tier)));
  if (document.activeElement !== menu) menu.value = state.tier;
}

function drawViews(state) {
  if (!at("views").childElementCount) {
    at("views").replaceChildren(...state.views.map((view) => {
      const label = document.createElement("label");
      const choice = Object.assign(document.createElement("input"), { type: "radio", name: "view", value: view });
      choice.addEventListener("change", () => change({ view }));
      label.append(choice, ` ${view}`);
      return label;
    }));
  }
  for (const choice of at("views").querySelectorAll("input")) choice.checked = choice.value === state.view;
}

function drawFiles(names) {
  if (at("files").childElementCount === names.length) return;
  at("files").replaceChildren(...names.map((name) => {
    const item = document.createElement("li");
    const link = Object.assign(document.createElement("a"), { textContent: name, download: name });
    link.href = `files/${encodeURIComponent(name)}`;
    item.append(link);
    return item;
  }));
}

function draw(state) {
  largestUpload = state.largest_upload;
  drawBackgrounds(state);
  drawViews(state);
  drawTiers(state);
  drawFiles(state.files);
  if (document.activeElement !== at("band")) at("band").value = state.band;
  at("band-value").textContent = `${Number(state.band).toFixed(2)}`;
  at("smoothing").checked = state.smoothing;
  at("frozen").checked = state.frozen;
  const recording = state.recorded_s !== null;
  at("record").setAttribute("aria-pressed", recording);
  at("record").textContent = recording ? `Stop (${state.recorded_s} s)` : "Record";
  at("figures").textContent = state.line;
  tell(state.trouble || state.notice || "");
}

async function upload(file) {
  if (file.size > largestUpload) {
    throw new Error(`${file.name} is ${Math.round(file.size / 1e6)} MB: ${largestUpload / 1e6} MB is the most`);
  }
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  const answer = await call("background", { method: "POST", headers, body: file });
  say(`${file.name} is the background`);
  draw(await answer.json());
}

async function showPictures() {
  for (let after = 0; ;) {
    try {
      const answer = await call(`picture.jpg?after=${after}`);
      if (answer.status === 204) continue;
      after = answer.headers.get("X-Number");
      const address = URL.createObjectURL(await answer.blob());
      const before = at("picture").src;
      at("picture").src = address;
      await at("picture").decode();
      URL.revokeObjectURL(before);
    } catch (error) {
      say(error.message);
      await new Promise((resume) => setTimeout(resume, 1000));
    }
  }
}

async function showState() {
  for (;;) {
    await call("state").then((answer) => answer.json()).then(draw).catch((error) => say(error.message));
    await new Promise((resume) => setTimeout(resume, 500));
  }
}

at("background").addEventListener("change", (event) => change({ background: Number(event.target.value) }));
at("colour").addEventListener("input", (event) => change({ background: event.target.value }));
at("tier").addEventListener("change", (event) => change({ tier: event.target.value }));
at("band").addEventListener("input", (event) => change({ band: Number(event.target.value) }));
at("smoothing").addEventListener("change", (event) => change({ smoothing: event.target.checked }));
at("frozen").addEventListener("change", (event) => change({ frozen: event.target.checked }));
at("upload").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) upload(file).catch((error) => say(error.message)).finally(() => { event.target.value = ""; });
});
for (const wish of ["snapshot", "record"]) {
  at(wish).addEventListener("click", () => call(wish, { method: "POST" })
    .then((answer) => answer.json()).then(draw).catch((error) => say(error.message)));
}
showPictures();
showState();
