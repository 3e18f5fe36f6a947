// AssemblyScript's own allocator, TLSF, as its runtime `minimal` brings it. For one thread: its root is an instance's
// global, so that two instances on one memory would hand out the same addresses.

export function alloc(bytes: usize): usize {
  return heap.alloc(bytes);
}

export function free(block: usize): void {
  heap.free(block);
}
