/** The classifier of the server that sent the page. A server with a key is asked with the one after `#key=`. */
export class Classifier {
  #model;
  #image;
  #key = new URLSearchParams(location.hash.slice(1)).get("key");

  async #fetch(path, options = {}) {
    const headers = this.#key ? { authorization: `Bearer ${this.#key}` } : {};
    const begun = performance.now();
    const response = await fetch(path, { ...options, headers });
    if (!response.ok) {
      const { error } = await response.json().catch(() => ({}));
      throw new Error(error ?? `the server answers with status ${response.status}`);
    }
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    const result = isJson ? await response.json() : await response.arrayBuffer();
    return { result, milliseconds: performance.now() - begun };
  }

  #post(name, parameters, body) {
    return this.#fetch(`${name}?${new URLSearchParams({ model: this.#model, ...parameters })}`, { method: "POST", body });
  }

  /** The names of all models. */
  async models() {
    const { result } = await this.#fetch("v2/repository/index", { method: "POST" });
    return result.map(({ name }) => name);
  }

  async open(name) {
    const { result, milliseconds } = await this.#fetch(`v2/models/${encodeURIComponent(name)}`);
    const logits = result.outputs.find((output) => output.name === "logits");
    if (!logits) throw new Error(`${name} does not classify`);
    this.#model = name;
    const [, , , size] = result.inputs[0].shape;
    return { result: { classes: logits.shape.at(-1), size }, milliseconds };
  }

  async classify(bytes, top) {
    this.#image = bytes;
    const { result, milliseconds } = await this.#post("classify", { topk: top }, bytes);
    return { result: result.images[0], milliseconds };
  }

  activationMap(index) {
    return this.#post("activation-map", { class: index }, this.#image);
  }
}
