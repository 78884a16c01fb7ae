/** A network that is open. */
export interface Network {
  /** The published network, or `custom`. */
  model: string;
  /** The number of classes. */
  classes: number;
  /** Columns and rows of its input. */
  size: number;
  /** The numbers that it computes with. */
  precision: "f32" | "int8";
  /** The vector instructions that it runs on. */
  isa: "simd128" | "relaxedsimd";
  /** The threads that it runs on. */
  threads: number;
}

/** A class of an image. */
export interface Class {
  /** Its index, from 0. */
  index: number;
  name: string;
  /** Its softmax over all classes, 0 to 1. */
  probability: number;
}

/** The classes of an image. */
export interface Classes {
  /** The most probable classes, best first. */
  top: Class[];
  /** The logits of all classes. */
  logits: number[];
  /** Columns of the image. */
  width: number;
  /** Rows of the image. */
  height: number;
  /** Losses of decoding, if there are any. */
  warnings?: string[];
}

/** A result and the time that it took to compute. */
export interface Timed<T> {
  result: T;
  milliseconds: number;
}

/**
 * A classifier in a worker of the page: the page stays free while it computes. Requests are answered in their order;
 * one that fails rejects with an `Error` for users, and leaves the classifier as it was.
 *
 * It computes on the threads of the machine where the page was sent with the headers
 * `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`, on one elsewhere.
 */
export class Classifier {
  constructor();
  /** Opens a weights file: PyTorch, Paddle, safetensors or ONNX, in f32 or 8-bit integers. The name tells the format. */
  open(name: string, bytes: Uint8Array): Promise<Timed<Network>>;
  /**
   * Classifies an image file: JPEG, PNG, WebP, BMP or GIF. `top` is the number of classes in `top`, 5 if left out. Where
   * `upright`, the image is turned as its EXIF data say; otherwise as the network's preprocessing does.
   */
  classify(bytes: Uint8Array, top?: number, upright?: boolean): Promise<Timed<Classes>>;
  /** The logits of an input that is prepared already: `[3, size, size]` values, normalized as the network expects. */
  logits(input: Float32Array): Promise<Timed<Float32Array>>;
  /** A PNG file of the last image, with a map over it of where the network sees the class `index`. */
  activationMap(index: number): Promise<Timed<Uint8Array>>;
  /** Ends the worker; requests that wait are rejected. */
  terminate(): void;
}
