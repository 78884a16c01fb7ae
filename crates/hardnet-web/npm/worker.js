// Runs the module in a thread of its own. Each request `{ id, method, args }` gets `{ id, result, milliseconds }` or
// `{ id, error }`.

import { Module, moduleName, mostThreads } from "./module.js";

let threads = mostThreads();
let compiled;
let module;

async function load() {
  compiled ??= WebAssembly.compileStreaming(fetch(new URL(moduleName(threads), import.meta.url)));
  try {
    return await Module.instantiate(await compiled, threads);
  } catch (error) {
    if (threads === 1) throw error;
    // Without threads where there are none or where their memory cannot be had.
    [threads, compiled] = [1, undefined];
    return load();
  }
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
      module?.terminate();
      module = undefined;
      message = `the module stopped (${message}); choose the weights again`;
    }
    self.postMessage({ id, error: message });
  }
};
