"use strict";

const at = (id) => document.getElementById(id);
let largestUpload = 0;
let started = 0;
let finished = 0;

function show(id, text) {
  // a screen reader announces every assignment, even of the same text
  if (at(id).textContent !== text) at(id).textContent = text;
}

async function call(path, options = {}) {
  const response = await fetch(path, options).catch(() => { throw new Error("No connection to the program"); });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

async function post(path, body, kind) {
  const headers = kind ? { "Content-Type": kind } : {};
  return (await call(path, { method: "POST", headers, body })).json();
}

// The message of a request stays until the next request, whatever the status says meanwhile.
async function request(action) {
  const number = ++started;
  show("message", "");
  try {
    const state = await action();
    drawStatus(state);
    if (number === started) drawSettings(state);
  } catch (error) {
    show("message", error.message);
  } finally {
    finished += 1;
  }
}

function change(settings) {
  return request(() => post("settings", JSON.stringify(settings), "application/json"));
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

function drawSettings(state) {
  largestUpload = state.largest_upload;
  drawBackgrounds(state);
  drawViews(state);
  drawTiers(state);
  if (document.activeElement !== at("band")) at("band").value = state.band;
  at("band-value").textContent = `${Number(state.band).toFixed(2)}`;
  at("smoothing").checked = state.smoothing;
  at("frozen").checked = state.frozen;
  at("choices").disabled = false;
}

function drawStatus(state) {
  drawFiles(state.files);
  const recording = state.recorded_s !== null;
  at("record").setAttribute("aria-pressed", recording);
  at("record").textContent = recording ? `Stop (${state.recorded_s} s)` : "Record";
  at("line").textContent = state.line;
  show("status", state.camera_fault || state.notice || "");
}

async function upload(file) {
  if (file.size > largestUpload) {
    throw new Error(`${file.name} is ${Math.round(file.size / 1e6)} MB: ${largestUpload / 1e6} MB is the most`);
  }
  const state = await post("background", file, file.type || "application/octet-stream");
  show("message", `${file.name} is the background`);
  return state;
}

async function showFrames() {
  for (let after = 0; ;) {
    try {
      const response = await call(`frame.jpg?after=${after}`);
      if (response.status === 204) continue;
      after = response.headers.get("X-Number");
      const address = URL.createObjectURL(await response.blob());
      const before = at("frame").src;
      at("frame").src = address;
      await at("frame").decode();
      URL.revokeObjectURL(before);
    } catch (error) {
      show("status", error.message);
      await new Promise((resume) => setTimeout(resume, 1000));
    }
  }
}

async function showState() {
  for (;;) {
    const [before, idle] = [started, finished === started];
    try {
      const state = await (await call("state")).json();
      drawStatus(state);
      // requested before a change was applied, it would show the settings before it
      if (idle && started === before) drawSettings(state);
    } catch (error) {
      show("status", error.message);
    }
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
  if (file) request(() => upload(file)).finally(() => { event.target.value = ""; });
});
for (const id of ["snapshot", "record"]) at(id).addEventListener("click", () => request(() => post(id)));
showFrames();
showState();
