// A thread of the module: an instance on the memory of the others, which works for them until it is terminated.

self.onmessage = async ({ data: { compiled, memory, stack, variables } }) => {
  const { exports } = await WebAssembly.instantiate(compiled, { env: { memory } });
  exports.__stack_pointer.value = stack;
  exports.__wasm_init_tls(variables);
  self.postMessage("ready");
  exports.lend_thread();
};
