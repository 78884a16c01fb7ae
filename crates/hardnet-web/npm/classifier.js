/** A classifier in a worker of the page: the page stays free while it computes. `index.d.ts` says what it gives. */
export class Classifier {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;
  /** Why no more requests are answered. */
  #ended;

  constructor() {
    this.#worker.onmessage = ({ data: { id, error, ...answer } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => this.#fail(event.message || "the worker does not start");
  }

  #fail(message) {
    this.#ended = message;
    for (const { reject } of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
  }

  #call(method, ...args) {
    if (this.#ended) return Promise.reject(new Error(this.#ended));
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#worker.postMessage({ id, method, args });
    return answer;
  }

  open(name, bytes) {
    return this.#call("open", name, bytes);
  }

  classify(bytes, top = 5, upright = false) {
    return this.#call("classify", bytes, top, upright);
  }

  logits(input) {
    return this.#call("logits", input);
  }

  activationMap(index) {
    return this.#call("activationMap", index);
  }

  terminate() {
    this.#worker.terminate();
    this.#fail("the classifier was terminated");
  }
}
