// Runs the module in a thread of its own. Each request `{ id, method, args }` gets `{ id, result }` or `{ id, error }`.

import { Module, moduleName } from "./hardnet.js";

let compiled;
let module;

async function load() {
  compiled ??= WebAssembly.compileStreaming(fetch(new URL(moduleName(), import.meta.url)));
  return Module.instantiate(await compiled);
}

self.onmessage = async ({ data: { id, method, args } }) => {
  try {
    module ??= await load();
    const begun = performance.now();
    const result = module[method](...args);
    self.postMessage({ id, result, milliseconds: performance.now() - begun });
  } catch (error) {
    let message = error.message;
    if (error instanceof WebAssembly.RuntimeError) {
      // An instance that stopped in the middle of its work is not used again.
      module = undefined;
      message = `the module stopped (${message}); choose the weights again`;
    }
    self.postMessage({ id, error: message });
  }
};
