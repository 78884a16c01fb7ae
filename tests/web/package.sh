#!/usr/bin/env bash
# The npm package as its users have it: installed from the archive, its types checked by TypeScript, its module run in Node
# against the command line.
#
#   tools/web/build.sh && cargo build --release -p hardnet-cli
#   tests/web/package.sh target/web/hardnet-web.tgz target/release/hardnet
set -euo pipefail
package=$(realpath "$1") hardnet=$(realpath "$2")
demo=$(cd "$(dirname "$0")/../.." && pwd)/weights/demo/fashion_mnist
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund "$package" typescript@5.9 @types/node@20

cat >types.ts <<'END'
import { Classifier, type Class } from "hardnet-web";
import { Module, moduleName } from "hardnet-web/module.js";

export async function best(weights: Uint8Array, image: Uint8Array): Promise<Class | undefined> {
  const classifier = new Classifier();
  const { result: network, milliseconds } = await classifier.open("weights.pth", weights);
  const found = await classifier.classify(image, 3, true);
  const map: Uint8Array = (await classifier.activationMap(found.result.top[0]!.index)).result;
  const values = (await classifier.logits(new Float32Array(3 * network.size ** 2))).result;
  classifier.terminate();
  const threads: number = network.threads + milliseconds + map.length + values.length;
  return threads > 0 ? found.result.top[0] : undefined;
}

export async function inNode(code: BufferSource, image: Uint8Array): Promise<string> {
  const module = await Module.instantiate(await WebAssembly.compile(code));
  // @ts-expect-error a name is a text
  module.open(1, image);
  return moduleName() + module.classify(image).top.map(({ name }) => name).join();
}
END
npx tsc --noEmit --strict --target es2022 --module nodenext --lib es2022,dom types.ts

tar -xf "$demo/sample.tar" --wildcards --no-anchored '*.png'
find . -path ./node_modules -prune -o -name '*.png' -print | sort >all
head -20 all >names
# The lines of the images, one each.
xargs -a names "$hardnet" predict --quiet --weights "$demo/hardnet39ds.safetensors" --json >predicted
cat >run.js <<'END'
import { readFile } from "node:fs/promises";
import { Module, moduleName } from "hardnet-web/module.js";

const lines = async (name) => (await readFile(name, "utf8")).trim().split("\n");
const code = await readFile(new URL(import.meta.resolve(`hardnet-web/${moduleName()}`)));
const module = await Module.instantiate(await WebAssembly.compile(code));
const network = module.open("demo.safetensors", await readFile(process.argv[2]));
const predicted = (await lines("predicted")).map((line) => JSON.parse(line));
const names = await lines("names");
if (predicted.length !== names.length) throw new Error(`${predicted.length} lines for ${names.length} images`);
let largest = 0;
for (const [at, name] of names.entries()) {
  const { top } = module.classify(await readFile(name), 5);
  for (const [rank, { name, probability }] of predicted[at].top.entries()) {
    if (top[rank].name !== name) throw new Error(`${names[at]}: ${top[rank].name}, expected ${name}`);
    largest = Math.max(largest, Math.abs(top[rank].probability - probability));
  }
}
if (largest > 1e-5) throw new Error(`probabilities differ by ${largest}`);
let refused = "";
try {
  module.classify(new Uint8Array(10));
} catch (error) {
  refused = error.message;
}
if (!refused.includes("not a")) throw new Error(`bytes that are not an image: ${refused}`);
console.log(`${names.length} images on ${network.isa}: probabilities differ by at most ${largest.toExponential(1)}`);
END
node run.js "$demo/hardnet39ds.safetensors"
