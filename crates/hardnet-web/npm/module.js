// The WebAssembly module, for a worker: texts and files go into its memory, answers come out of it.

/** A function that multiplies and adds with relaxed vector instructions: `validate` says whether they are there. */
const RELAXED = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 0x0a, 0x1c, 1, 0x1a, 0,
  0x43, 0, 0, 0, 0, 0xfd, 0x13, 0x43, 0, 0, 0, 0, 0xfd, 0x13, 0x43, 0, 0, 0, 0, 0xfd, 0x13, 0xfd, 0x85, 2, 0x0b,
]);

/** Pages of 64 KiB of memory that threads share, as `tools/web/build.sh` says. */
const SHARED = { initial: 1024, maximum: 32768, shared: true };

const STACK = 1 << 20;

/** The name of the fastest module here that runs on so many threads. */
export function moduleName(threads = 1) {
  if (!WebAssembly.validate(RELAXED)) return "hardnet.wasm";
  return threads > 1 ? "hardnet-threads.wasm" : "hardnet-relaxed.wasm";
}

/**
 * The number of threads that a network may have: more than one where memory can be shared, which pages may that were
 * sent with the headers `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`.
 */
export function mostThreads() {
  return globalThis.crossOriginIsolated && moduleName(2) !== moduleName() ? (navigator.hardwareConcurrency ?? 1) : 1;
}

export class Module {
  #exports;
  #memory;
  #threads = [];

  constructor(instance, memory) {
    this.#exports = instance.exports;
    this.#memory = memory ?? instance.exports.memory;
  }

  /** An instance of compiled code; on more than one thread, of the module for threads. */
  static async instantiate(compiled, threads = 1) {
    if (threads === 1) return new Module(await WebAssembly.instantiate(compiled, {}));
    const memory = new WebAssembly.Memory(SHARED);
    const module = new Module(await WebAssembly.instantiate(compiled, { env: { memory } }), memory);
    await Promise.all(Array.from({ length: threads - 1 }, () => module.#start(compiled)));
    while (module.#exports.lent_threads() < threads - 1) await new Promise((resolve) => setTimeout(resolve, 1));
    return module;
  }

  /** Starts a thread, which shares the memory and has a stack and variables of its own. */
  #start(compiled) {
    const { allocate, __tls_size: size, __tls_align: align } = this.#exports;
    const [stack, variables] = [allocate(STACK, 16), allocate(size.value, align.value)];
    if (stack === 0 || variables === 0) throw new Error("a thread does not fit the memory of the module");
    const thread = new Worker(new URL("thread.js", import.meta.url), { type: "module" });
    this.#threads.push(thread);
    return new Promise((resolve, reject) => {
      thread.onmessage = resolve;
      thread.onerror = (event) => reject(new Error(event.message || "a thread does not start"));
      thread.postMessage({ compiled, memory: this.#memory, stack: stack + STACK, variables });
    });
  }

  /** Ends the threads. */
  terminate() {
    for (const thread of this.#threads) thread.terminate();
  }

  #give(bytes) {
    const place = this.#exports.reserve(bytes.length) >>> 0;
    if (place === 0) throw new Error(`${bytes.length} bytes do not fit the memory of the module`);
    new Uint8Array(this.#memory.buffer, place, bytes.length).set(bytes);
  }

  #answer(succeeded) {
    const { answer_start, answer_length } = this.#exports;
    const bytes = new Uint8Array(this.#memory.buffer, answer_start() >>> 0, answer_length()).slice();
    if (!succeeded) throw new Error(text(bytes));
    return bytes;
  }

  #json(succeeded) {
    return JSON.parse(text(this.#answer(succeeded)));
  }

  /** Opens the weights file `name`; says what network it is. */
  open(name, bytes) {
    this.#give(new TextEncoder().encode(name));
    this.#give(bytes);
    return this.#json(this.#exports.open_weights());
  }

  /** The `top` most probable classes of an image file, which is turned as its EXIF data say where `upright`. */
  classify(bytes, top = 5, upright = false) {
    this.#give(bytes);
    return this.#json(this.#exports.classify(top, Number(upright)));
  }

  /** The logits of an input that is prepared already, `[3, size, size]` values. */
  logits(input) {
    this.#give(new Uint8Array(input.buffer, input.byteOffset, input.byteLength));
    return new Float32Array(this.#answer(this.#exports.logits()).buffer);
  }

  /** A PNG file of the last image, with the map of the class over it. */
  activationMap(index) {
    return this.#answer(this.#exports.activation_map(index));
  }
}

// A decoder takes no bytes of shared memory; those of an answer are a copy.
const text = (bytes) => new TextDecoder().decode(bytes);
