// The page: files in, classes and pictures out.

import { Classifier } from "./classifier.js";

const TOP = 5;
const WEIGHTS = /\.(pth|pt|pkl|tar|pdparams|safetensors|onnx)$/i;
const DEMO = "hardnet39ds.safetensors";

const at = (id) => document.getElementById(id);
/** In a worker, or on the server that this page comes from. */
const classifier = new Classifier();
let isOpen = false;
/** The image file, the classes found in it, and the class whose map is shown. */
let shown = { file: undefined, top: [], index: undefined };
let pictureUrl;
/** Requests are answered one after the other. */
let last = Promise.resolve();

function inTurn(work) {
  last = last.then(work).catch(fail);
  return last;
}

function fail(error) {
  at("status").textContent = "";
  at("error").textContent = error.message;
}

function tell(text) {
  at("error").textContent = "";
  at("status").textContent = text;
}

const seconds = (milliseconds) =>
  milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;

async function bytesOf(file) {
  return new Uint8Array(await file.arrayBuffer());
}

async function openWeights(name, bytes) {
  tell(`Reading ${name}`);
  isOpen = false;
  at("network").textContent = "None";
  const { result: network, milliseconds } = await classifier.open(name, bytes);
  isOpen = true;
  const { model, classes, size, precision, isa, threads } = network;
  const facts = [model, `${classes} classes`, `${size}x${size} pixels`];
  if (isa) facts.push(`${precision} (${isa}${threads > 1 ? `, ${threads} threads` : ""})`);
  at("network").textContent = `${name}: ${facts.filter(Boolean).join(", ")}`;
  tell(`Weights are ready after ${seconds(milliseconds)}`);
  if (shown.file) await classify(shown.file);
}

async function openDemo() {
  const response = await fetch(DEMO);
  if (!response.ok) throw new Error(`the demonstration's weights cannot be fetched: status ${response.status}`);
  await openWeights(DEMO, new Uint8Array(await response.arrayBuffer()));
}

function showPicture(blob, text) {
  URL.revokeObjectURL(pictureUrl);
  pictureUrl = URL.createObjectURL(blob);
  const picture = at("picture");
  picture.src = pictureUrl;
  picture.alt = text;
  picture.hidden = false;
  at("hint").hidden = true;
}

async function classify(file) {
  if (!isOpen && !classifier.models) await openDemo();
  tell(`Computing ${file.name}`);
  at("classes").replaceChildren();
  at("map").disabled = true;
  const { result, milliseconds } = await classifier.classify(await bytesOf(file), TOP, at("upright").checked);
  shown = { file, top: result.top, index: result.top[0].index };
  at("map").disabled = false;
  at("classes").replaceChildren(...result.top.map(row));
  const losses = (result.warnings ?? []).map((warning) => `; ${warning}`).join("");
  tell(`${file.name}, ${result.width}x${result.height} pixels, in ${seconds(milliseconds)}${losses}`);
  await showImage();
}

/** A class, which shows its map when it is pressed. */
function row({ index, name, probability }) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.style.setProperty("--share", `${100 * probability}%`);
  button.setAttribute("aria-pressed", String(index === shown.index));
  for (const text of [name, `${(100 * probability).toFixed(1)} %`]) {
    const part = document.createElement("span");
    part.textContent = text;
    button.append(part, " ");
  }
  button.onclick = () => {
    shown.index = index;
    at("map").checked = true;
    for (const other of at("classes").querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    inTurn(showImage);
  };
  item.append(button);
  return item;
}

async function showImage() {
  const { file, top, index } = shown;
  if (!file) return;
  if (!at("map").checked) {
    showPicture(file, file.name);
    return;
  }
  const { result } = await classifier.activationMap(index);
  const name = top.find((found) => found.index === index)?.name ?? index;
  showPicture(new Blob([result], { type: "image/png" }), `${file.name} with the activation map of ${name}`);
}

function take(files) {
  for (const file of files) {
    if (WEIGHTS.test(file.name) && !classifier.models) inTurn(async () => openWeights(file.name, await bytesOf(file)));
    else inTurn(() => classify(file));
  }
}

for (const input of [at("weights"), at("image")]) {
  input.onchange = () => {
    const files = [...input.files];
    // The same file can be chosen again.
    input.value = "";
    if (input === at("weights")) files.forEach((file) => inTurn(async () => openWeights(file.name, await bytesOf(file))));
    else files.forEach((file) => inTurn(() => classify(file)));
  };
}
at("demo").onclick = () => inTurn(openDemo);
at("map").onchange = () => inTurn(showImage);
at("upright").onchange = () => inTurn(async () => shown.file && classify(shown.file));

/** Shows the camera's view; pressed again, takes the picture. */
at("camera").onclick = async () => {
  const view = at("view");
  if (view.hidden) {
    try {
      view.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      await view.play();
    } catch (error) {
      fail(new Error(`the camera cannot be used: ${error.message}`));
      return;
    }
    view.hidden = false;
    at("picture").hidden = at("hint").hidden = true;
    at("camera").textContent = "Take the picture";
    return;
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [view.videoWidth, view.videoHeight];
  canvas.getContext("2d").drawImage(view, 0, 0);
  for (const track of view.srcObject.getTracks()) track.stop();
  view.hidden = true;
  at("camera").textContent = "Use the camera";
  const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  inTurn(() => classify(new File([picture], "camera.png", { type: "image/png" })));
};

/** Models to choose from, where the page does not read weights itself. */
async function listModels() {
  at("place").textContent = "Classifies photographs on the server that sent this page.";
  at("files").hidden = at("formats").hidden = at("turn").hidden = true;
  at("hint").textContent = "Drop an image here, or paste one";
  const models = await classifier.models();
  at("model").replaceChildren(...models.map((name) => new Option(name)));
  at("models").hidden = false;
  at("model").onchange = () => inTurn(() => openWeights(at("model").value));
  if (models.length > 0) await openWeights(models[0]);
}
if (classifier.models) inTurn(listModels);
addEventListener("paste", (event) => take(event.clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
addEventListener("dragleave", () => at("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
