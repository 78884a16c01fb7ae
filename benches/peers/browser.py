"""Time the WebAssembly module beside onnxruntime-web in headless Chromium, and record it in
docs/performance/browser.json.

    tools/web/build.sh && cargo build --release -p hardnet-cli
    cargo run --release -p hardnet-engine --example synthetic_logits -- /tmp/weights
    npm install --prefix /tmp/peer onnxruntime-web@1.30.0
    python -m venv venv && venv/bin/pip install playwright==1.56.0
    venv/bin/python benches/peers/browser.py /tmp/weights /tmp/peer/node_modules/onnxruntime-web/dist

Both engines run in one worker of one page, on one thread, one after the other in each round. onnxruntime-web computes the
ONNX file that `hardnet export` writes from the same weights; its 8-bit file is that of the quantized weights, with pairs of
QuantizeLinear and DequantizeLinear. The logits of both must agree. Needs Chromium at /usr/bin/chromium.
"""

import argparse
import functools
import http.server
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import record

NETWORKS = ("hardnet39ds", "hardnet68ds", "hardnet68", "hardnet85")
CHROMIUM = "/usr/bin/chromium"

WORKER = """
import * as ort from "/peer/ort.wasm.min.mjs";
import { Module, moduleName } from "/module.js";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = "/peer/";
const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
const size = 3 * 224 * 224;
const input = new Float32Array(size);
for (let i = 0, state = 1; i < size; i += 1) {
  state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
  input[i] = state / 0x40000000 - 1;
}
let module, session;

async function time(run, milliseconds) {
  const times = [];
  for (const end = performance.now() + milliseconds; performance.now() < end || times.length < 3; ) {
    const begun = performance.now();
    await run();
    times.push(performance.now() - begun);
  }
  return times;
}

const methods = {
  async open(weights, onnx) {
    module = await Module.instantiate(await WebAssembly.compileStreaming(fetch("/" + moduleName())));
    const opened = module.open("weights.safetensors", await bytes(weights));
    await session?.release();
    session = await ort.InferenceSession.create(await bytes(onnx), { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    const theirs = (await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", input, [1, 3, 224, 224]) }))[session.outputNames[0]].data;
    const ours = module.logits(input);
    const largest = Math.max(...theirs.map(Math.abs));
    return { isa: opened.isa, difference: Math.max(...theirs.map((value, i) => Math.abs(value - ours[i]))) / largest };
  },
  async round(milliseconds) {
    const ours = await time(() => module.logits(input), milliseconds);
    const tensor = new ort.Tensor("float32", input, [1, 3, 224, 224]);
    const theirs = await time(() => session.run({ [session.inputNames[0]]: tensor }), milliseconds);
    return { ours, theirs };
  },
};

self.onmessage = async ({ data: [method, ...args] }) => {
  try {
    self.postMessage({ result: await methods[method](...args) });
  } catch (error) {
    self.postMessage({ error: String(error?.message ?? error) });
  }
};
"""

PAGE = """<!doctype html><title>benchmark</title><script type="module">
const worker = new Worker("/worker-of-the-benchmark.js", { type: "module" });
window.call = (...args) => new Promise((resolve, reject) => {
  worker.onmessage = ({ data: { result, error } }) => (error === undefined ? resolve(result) : reject(new Error(error)));
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(args);
});
window.ready = true;
</script>"""


class Files(http.server.SimpleHTTPRequestHandler):
    """The page, the site's files, `/peer/` and `/cache/`."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".wasm": "application/wasm", ".mjs": "text/javascript"}

    def __init__(self, folders, *rest):
        self.folders = folders
        super().__init__(*rest)

    def translate_path(self, path):
        first, _, rest = path.lstrip("/").partition("/")
        return str(self.folders[first] / rest if rest else self.folders[""] / first)

    def do_GET(self):
        texts = {"/": ("text/html", PAGE), "/worker-of-the-benchmark.js": ("text/javascript", WORKER)}
        if self.path not in texts:
            return super().do_GET()
        kind, text = texts[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def prepare(arguments, network):
    """The files of a network in the cache: weights and ONNX, in f32 and int8."""
    cache, ours = arguments.cache, shlex.split(arguments.ours)
    weights = arguments.weights / f"{network}.safetensors"
    run = functools.partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files = {"f32": (f"{network}.safetensors", f"{network}.onnx"), "int8": (f"{network}.int8.safetensors", f"{network}.int8.onnx")}
    if not (cache / files["f32"][0]).exists():
        os.symlink(weights.resolve(), cache / files["f32"][0])
    if not (cache / files["f32"][1]).exists():
        run([*ours, "export", weights, cache / files["f32"][1]])
    if not (cache / files["int8"][0]).exists():
        run([*ours, "quantize", weights, cache / files["int8"][0]])
    if not (cache / files["int8"][1]).exists():
        run([*ours, "export", cache / files["int8"][0], cache / files["int8"][1], "--int8", "qdq"])
    return files


def main():
    parser = argparse.ArgumentParser(description="Time the WebAssembly module beside onnxruntime-web.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("peer", type=Path, help="the folder dist of onnxruntime-web")
    parser.add_argument("--site", type=Path, default=record.ROOT / "target/web")
    parser.add_argument("--ours", default=str(record.ROOT / "target/release/hardnet"), help="the program")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--milliseconds", type=float, default=1000, help="of each engine in each round")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "hardnet-browser")
    parser.add_argument("--print", action="store_true", help="print the figures, record nothing")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    prepared = {network: prepare(arguments, network) for network in arguments.networks}
    folders = {"": arguments.site, "peer": arguments.peer, "cache": arguments.cache}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, folders))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        version = browser.version
        for network, files in prepared.items():
            for precision, (weights, onnx) in files.items():
                page = browser.new_page()
                page.set_default_timeout(600_000)
                page.goto(f"http://127.0.0.1:{server.server_port}/")
                page.wait_for_function("window.ready")
                call = lambda *args: page.evaluate("(args) => window.call(...args)", list(args))
                opened = call("open", f"/cache/{weights}", f"/cache/{onnx}")
                assert opened["difference"] < (1e-3 if precision == "f32" else 0.1), (network, precision, opened)
                call("round", arguments.milliseconds)
                ours, theirs = [], []
                for _ in range(arguments.rounds):
                    times = call("round", arguments.milliseconds)
                    ours.append(statistics.median(times["ours"]))
                    theirs.append(statistics.median(times["theirs"]))
                ratio = statistics.median(a / b for a, b in zip(ours, theirs))
                row = [network, precision, round(statistics.median(ours), 1), round(statistics.median(theirs), 1), round(ratio, 2)]
                print(*row, opened["isa"], f"difference {opened['difference']:.1e}", file=sys.stderr, flush=True)
                rows.append(row)
                page.close()
        browser.close()
    if not arguments.print:
        manifest = json.loads((arguments.peer.parent / "package.json").read_text())
        record.write(
            "browser",
            title="In a browser",
            text="Median milliseconds for one image of 224x224 pixels in Chromium, both engines in WebAssembly on one thread, "
            "interleaved in one worker, and the median of the rounds' ratios. int8: our quantized weights, and their ONNX "
            "file with QuantizeLinear and DequantizeLinear.",
            command="python benches/peers/browser.py WEIGHTS PEER",
            commit=record.commit(),
            versions={"chromium": version, "onnxruntime-web": manifest["version"]},
            columns=["model", "precision", "ours", "onnxruntime-web", "ours / onnxruntime-web"],
            rows=rows,
        )


if __name__ == "__main__":
    main()
