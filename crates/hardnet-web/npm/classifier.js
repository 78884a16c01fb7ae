/**
 * What the page needs of a classifier. Each method gives a promise of `{ result, milliseconds }`:
 *
 * - `open(name, bytes)`: the network of a weights file, `{ model, classes, size, precision, isa }`;
 * - `classify(bytes, top)`: the classes of an image file, `{ top: [{ index, name, probability }], width, height }`;
 * - `activationMap(index)`: a PNG file of the last image with the map of a class over it.
 *
 * This one computes in a worker of the page.
 */
export class WorkerClassifier {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, error, ...answer } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message || "the worker does not start"));
      this.#waiting.clear();
    };
  }

  #call(method, ...args) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#worker.postMessage({ id, method, args });
    return answer;
  }

  open(name, bytes) {
    return this.#call("open", name, bytes);
  }

  classify(bytes, top) {
    return this.#call("classify", bytes, top);
  }

  activationMap(index) {
    return this.#call("activationMap", index);
  }
}
