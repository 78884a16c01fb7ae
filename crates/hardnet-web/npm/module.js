// The WebAssembly module, for a worker: texts and files go into its memory, answers come out of it.

/** A function that multiplies and adds with relaxed vector instructions: `validate` says whether the browser has them. */
const RELAXED = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 0x0a, 0x1c, 1, 0x1a, 0,
  0x43, 0, 0, 0, 0, 0xfd, 0x13, 0x43, 0, 0, 0, 0, 0xfd, 0x13, 0x43, 0, 0, 0, 0, 0xfd, 0x13, 0xfd, 0x85, 2, 0x0b,
]);

/** The name of the module that this browser runs fastest. */
export function moduleName() {
  return WebAssembly.validate(RELAXED) ? "hardnet-relaxed.wasm" : "hardnet.wasm";
}

export class Module {
  #exports;

  constructor(instance) {
    this.#exports = instance.exports;
  }

  /** An instance of compiled code. */
  static async instantiate(compiled) {
    return new Module(await WebAssembly.instantiate(compiled, {}));
  }

  #give(bytes) {
    const place = this.#exports.reserve(bytes.length);
    if (place === 0) throw new Error(`${bytes.length} bytes do not fit the memory of the module`);
    new Uint8Array(this.#exports.memory.buffer, place, bytes.length).set(bytes);
  }

  #answer(succeeded) {
    const { memory, answer_start, answer_length } = this.#exports;
    const bytes = new Uint8Array(memory.buffer, answer_start(), answer_length()).slice();
    if (!succeeded) throw new Error(new TextDecoder().decode(bytes));
    return bytes;
  }

  #json(succeeded) {
    return JSON.parse(new TextDecoder().decode(this.#answer(succeeded)));
  }

  /** Opens the weights file `name`; says what network it is. */
  open(name, bytes) {
    this.#give(new TextEncoder().encode(name));
    this.#give(bytes);
    return this.#json(this.#exports.open_weights());
  }

  /** The `top` most probable classes of an image file. */
  classify(bytes, top) {
    this.#give(bytes);
    return this.#json(this.#exports.classify(top));
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
