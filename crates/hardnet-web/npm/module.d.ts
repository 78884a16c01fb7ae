import type { Classes, Network } from "./index.d.ts";

/** The name of the fastest module here that runs on so many threads (1 if left out): a file of this package. */
export function moduleName(threads?: number): "hardnet.wasm" | "hardnet-relaxed.wasm" | "hardnet-threads.wasm";

/** The number of threads that a network may have: more than 1 on pages that may share memory. */
export function mostThreads(): number;

/** The module in the calling thread, for workers and for Node. Methods throw an `Error` for users. */
export class Module {
  /**
   * An instance of compiled code. On more than one thread the code is that of `moduleName(threads)`, and others are
   * workers of the page.
   */
  static instantiate(compiled: WebAssembly.Module, threads?: number): Promise<Module>;
  /** Opens a weights file: PyTorch, Paddle, safetensors or ONNX, in f32 or 8-bit integers. The name tells the format. */
  open(name: string, bytes: Uint8Array): Network;
  /**
   * Classifies an image file: JPEG, PNG, WebP, BMP or GIF. `top` is the number of classes in `top`, 5 if left out. Where
   * `upright`, the image is turned as its EXIF data say; otherwise as the network's preprocessing does.
   */
  classify(bytes: Uint8Array, top?: number, upright?: boolean): Classes;
  /** The logits of an input that is prepared already: `[3, size, size]` values, normalized as the network expects. */
  logits(input: Float32Array): Float32Array;
  /** A PNG file of the last image, with a map over it of where the network sees the class `index`. */
  activationMap(index: number): Uint8Array;
  /** Ends the threads other than the calling one. */
  terminate(): void;
}
