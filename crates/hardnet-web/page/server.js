/** The classifier of the server that sent the page. A server that asks for a key is asked with the one after `#key=`. */
export class Classifier {
  #model;
  #image;
  #upright;
  #key = new URLSearchParams(location.hash.slice(1)).get("key");

  async #fetch(path, options = {}) {
    const headers = this.#key ? { authorization: `Bearer ${this.#key}` } : {};
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    const { error } = await response.json().catch(() => ({}));
    throw new Error(error ?? `the server answers with status ${response.status}`);
  }

  /** A path with parameters for the open model. */
  #path(name, parameters) {
    const all = { model: this.#model, ...parameters, ...(this.#upright ? { exif: "apply" } : {}) };
    return `${name}?${new URLSearchParams(all)}`;
  }

  /** The names of all models. */
  async models() {
    const index = await (await this.#fetch("v2/repository/index", { method: "POST" })).json();
    return index.map(({ name }) => name);
  }

  async open(name) {
    const begun = performance.now();
    const config = await (await this.#fetch(`v2/models/${encodeURIComponent(name)}/hardnet`)).json();
    this.#model = name;
    return { result: config, milliseconds: performance.now() - begun };
  }

  async classify(bytes, top, upright) {
    [this.#image, this.#upright] = [bytes, upright];
    const begun = performance.now();
    const response = await this.#fetch(this.#path("classify", { topk: top }), { method: "POST", body: bytes });
    const { images } = await response.json();
    return { result: images[0], milliseconds: performance.now() - begun };
  }

  async activationMap(index) {
    const begun = performance.now();
    const response = await this.#fetch(this.#path("activation-map", { class: index }), { method: "POST", body: this.#image });
    return { result: await response.arrayBuffer(), milliseconds: performance.now() - begun };
  }
}
