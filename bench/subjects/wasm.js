/**
 * C allocators compiled to WebAssembly by `node bench/wasm/build.js`, called from JavaScript: dlmalloc, emmalloc and
 * mimalloc on one shared memory that any number of threads may use, and AssemblyScript's TLSF for one thread.
 *
 * Every thread instantiates the module anew, with a stack, thread-local storage and a thread's record of its own, as
 * the toolchain's own workers do; so mimalloc has a heap for each. The first instance runs the constructors.
 *
 * @typedef {import('./subject.js').Allocator} Allocator
 * @typedef {import('./subject.js').Subject} Subject
 */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { addresses } from './subject.js';

/** The project's types are those of no browser, and so lack this. */
const { WebAssembly } = /** @type {any} */ (globalThis);

/** Where the build puts the modules. */
export const WASM_FOLDER = process.env['BENCH_WASM'] ?? fileURLToPath(new URL('../../.cache/wasm', import.meta.url));

/**
 * Pages of 64 KiB: 1 GiB of address space, of which only what is written takes memory. Less, and 10,000,000 objects of
 * 64 bytes would not fit; from 2 GiB on, addresses would come out negative. build.js tells the linker the same.
 */
export const WASM_PAGES = 16_384;

/** Bytes of a thread's stack: the toolchain's own default is 2 MiB, and malloc needs a few hundred. */
const STACK_BYTES = 2 ** 20;

/** @param {string} id */
function fileOf(id) {
  return `${WASM_FOLDER}/${id}.wasm`;
}

/**
 * The functions that a module wants from outside. None is called on a hot path; those that nobody should call say so.
 *
 * @param {any} module
 * @param {any} memory
 * @param {{ entered?: (record: number) => void, prepared?: (record: number) => void }} threads
 */
function importsFor(module, memory, threads) {
  const words = new Int32Array(memory.buffer);
  /** @type {Record<string, unknown>} */
  const known = {
    memory,
    emscripten_get_now: () => performance.now(),
    // The memory has its full size from the start.
    emscripten_resize_heap: () => 0,
    emscripten_memcpy_big(/** @type {number} */ to, /** @type {number} */ from, /** @type {number} */ bytes) {
      new Uint8Array(memory.buffer).copyWithin(to, from, from + bytes);
    },
    clock_gettime(/** @type {number} */ _clock, /** @type {number} */ time) {
      const now = performance.now();
      words[time >> 2] = now / 1000;
      words[(time >> 2) + 2] = (now % 1000) * 1e6;
      return 0;
    },
    environ_sizes_get(/** @type {number} */ count, /** @type {number} */ bytes) {
      words[count >> 2] = 0;
      words[bytes >> 2] = 0;
      return 0;
    },
    environ_get: () => 0,
    _emscripten_default_pthread_stack_size: () => STACK_BYTES,
    __emscripten_init_main_thread_js: (/** @type {number} */ record) => threads.entered?.(record),
    __pthread_create_js(/** @type {number} */ record) {
      threads.prepared?.(record);
      return 0;
    },
  };
  /** @type {Record<string, Record<string, any>>} */
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    const unexpected = () => {
      throw new Error(`the module called ${name}, which only programs need that start threads or print`);
    };
    imports[from] = { ...imports[from], [name]: known[name] ?? unexpected };
  }
  return imports;
}

/** @implements {Allocator} */
class WasmAllocator {
  table = addresses;

  /**
   * @param {any} memory
   * @param {Record<string, any>} exports
   * @param {() => unknown} [share]
   */
  constructor(memory, exports, share) {
    this.words = new Int32Array(memory.buffer);
    this.alloc = exports['mi_malloc'] ?? exports['malloc'] ?? exports['alloc'];
    this.free = exports['mi_free'] ?? exports['free'];
    if (share !== undefined) this.share = share;
  }

  /**
   * @param {any} block
   * @param {number} offset
   * @param {number} value
   */
  write(block, offset, value) {
    this.words[(block + offset) >> 2] = value;
  }

  /**
   * @param {any} block
   * @param {number} offset
   */
  read(block, offset) {
    return /** @type {number} */ (this.words[(block + offset) >> 2]);
  }

  /**
   * @param {any} block
   * @param {number} bytes
   */
  view(block, bytes) {
    return new Int32Array(this.words.buffer, block, bytes >> 2);
  }

  close() {}
}

/** @param {string} id */
function openShared(id) {
  const module = new WebAssembly.Module(readFileSync(fileOf(id)));
  const memory = new WebAssembly.Memory({ initial: WASM_PAGES, maximum: WASM_PAGES, shared: true });
  let prepared = 0;
  /** @type {Record<string, any>} */
  const exports = new WebAssembly.Instance(
    module,
    importsFor(module, memory, {
      entered: (record) => enterThread(exports, record, true),
      prepared(record) {
        prepared = record;
      },
    }),
  ).exports;
  exports['__wasm_call_ctors']();
  const share = () => {
    if (exports['bench_prepare_thread']() !== 0) throw new Error(`${id}: no memory for a thread`);
    const stack = (exports['mi_malloc'] ?? exports['malloc'])(STACK_BYTES);
    return { module, memory, record: prepared, stack };
  };
  return new WasmAllocator(memory, exports, share);
}

/**
 * What the toolchain's workers do before they run anything: take the record, then storage for thread-local variables.
 *
 * @param {Record<string, any>} exports
 * @param {number} record
 * @param {boolean} first
 */
function enterThread(exports, record, first) {
  // Not a browser's main thread: it may block. The runtime's first thread: yes or no. May block: yes.
  exports['_emscripten_thread_init'](record, 0, first ? 1 : 0, 1, 0);
  exports['emscripten_tls_init']();
}

/** @param {{ module: any, memory: any, record: number, stack: number }} shared */
function attachShared({ module, memory, record, stack }) {
  const { exports } = new WebAssembly.Instance(module, importsFor(module, memory, {}));
  /** @type {any} */ (exports)['stackRestore'](stack + STACK_BYTES);
  enterThread(exports, record, false);
  return new WasmAllocator(memory, exports);
}

function openTlsf() {
  const module = new WebAssembly.Module(readFileSync(fileOf('tlsf')));
  const memory = new WebAssembly.Memory({ initial: WASM_PAGES });
  const { exports } = new WebAssembly.Instance(module, importsFor(module, memory, {}));
  return new WasmAllocator(memory, exports);
}

/** @param {string} id */
function missingFile(id) {
  return existsSync(fileOf(id)) ? undefined : 'not built; see bench/README.md, then run: node bench/wasm/build.js';
}

/** @param {string} id @returns {Subject} */
const compiled = (id) => ({
  id,
  subject: `${id}, wasm`,
  peer: true,
  missing: () => missingFile(id),
  open: () => openShared(id),
  attach: attachShared,
});

/** @type {Subject} */
export const MIMALLOC = compiled('mimalloc');

/** @type {Subject} */
export const TLSF = {
  id: 'tlsf',
  subject: 'TLSF, AssemblyScript',
  peer: true,
  missing: () => missingFile('tlsf'),
  open: openTlsf,
};

/** For many threads. @type {Subject[]} */
export const COMPILED = [MIMALLOC, compiled('dlmalloc'), compiled('emmalloc')];
