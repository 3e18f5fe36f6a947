/**
 * Replays traces of the shared area: kind `dsa` (one participant) and `dsa-multi` (several, taking turns).
 *
 * The operations that work on an attached area are one table for both kinds. Around it, `dsa` creates areas, one
 * after the other, and `dsa-multi` lets backends attach to one and leave it; each backend is a participant with
 * mappings of its own, all in this thread. Objects are named by ids, which all backends share.
 *
 * The results are the library's own texts but for what is random or undefined in the C original: see
 * `normalizeDump` and `describeSegments`, which are the only translations.
 */

import {
  DSA_ALLOC_HUGE,
  DSA_ALLOC_NO_OOM,
  DSA_ALLOC_ZERO,
  DsaArea,
  type DsaPlace,
  offsetOf,
  segmentOf,
} from '../dsa/dsa.js';
import type { Dsm } from '../dsm/dsm.js';
import { isSharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import {
  BadOperation,
  count,
  joinCluster,
  openCluster,
  runOps,
  wide,
  word,
  type Report,
  type StoreKind,
} from './replay-ops.js';

/** Live objects by id. An id that is missing was never allocated, could not be, or is free again. */
type Objects = Map<string, DsaPointer>;

/** An attached area and what an operation on it may need. */
interface Attached {
  area: DsaArea;
  place: DsaPlace | null;
  objects: Objects;
}

const POOL_HEADING = /^ {4}pool for /;
const LARGE_POOL_HEADING = '    pool for large object spans:';

/** PostgreSQL 15 writes this into segment 0 of an area in place, whatever its size; the library keeps the real one. */
const RECORDED_IN_PLACE_SIZE = 1048576;

/**
 * Takes out of a dump what cannot be compared: the random handle (an area in place has handle 0, which stays),
 * the mapping addresses, and the two counts of large spans, which the C original never initialises.
 */
function normalizeDump(text: string): string {
  let large = false;
  return text
    .replace(/^(dsa_area handle )(?!0:)[0-9a-f]+:/, '$1*:')
    .replace(/mapped at 0x[0-9a-f]+/g, 'mapped at *')
    .split('\n')
    .map((line) => {
      if (POOL_HEADING.test(line)) large = line === LARGE_POOL_HEADING;
      return large ? line.replace(/objects free = \d+\/\d+$/, 'objects free = */*') : line;
    })
    .join('\n');
}

function describeSegments({ area, place }: Attached): string {
  let text = '';
  for (const { index, size, usablePages, bin, prev, next } of area.segments()) {
    const shown = place !== null && index === 0 ? RECORDED_IN_PLACE_SIZE : size;
    text += `${index}: size=${shown} usable=${usablePages} bin=${bin} prev=${prev ?? 'none'} next=${next ?? 'none'}\n`;
  }
  return text;
}

function describeFreePages(area: DsaArea): string {
  return area
    .segments()
    .map(({ index }) => `segment ${index}:\n${area.dumpFreePages(index)}`)
    .join('');
}

function allocate({ area, objects }: Attached, words: string[]): string {
  const id = word(words, 1);
  let flags = 0;
  for (const flag of words.slice(3)) {
    if (flag === 'huge') flags |= DSA_ALLOC_HUGE;
    else if (flag === 'noerror') flags |= DSA_ALLOC_NO_OOM;
    else if (flag === 'zero') flags |= DSA_ALLOC_ZERO;
    else throw new BadOperation(`unknown flag ${flag}`);
  }
  objects.delete(id);
  const pointer = area.allocate(wide(words, 2), flags);
  if (pointer === 0) return '0';
  objects.set(id, pointer);
  return `${pointer.toString(16)} ${segmentOf(pointer)}:${offsetOf(pointer)}`;
}

function free({ area, objects }: Attached, words: string[]): string {
  const id = word(words, 1);
  const pointer = objects.get(id);
  if (pointer === undefined) return 'none';
  objects.delete(id);
  area.free(pointer);
  return 'ok';
}

/** A view of the first bytes of an object; null when there is no such object. */
function objectBytes({ area, objects }: Attached, words: string[], length: number): Uint8Array | null {
  const pointer = objects.get(word(words, 1));
  if (pointer === undefined) return null;
  const { buffer, byteOffset } = area.getAddress(pointer)!;
  return new Uint8Array(buffer, byteOffset, length);
}

function need(bytes: Uint8Array | null): Uint8Array {
  if (bytes === null) throw new BadOperation('no such id');
  return bytes;
}

function write(at: Attached, words: string[]): string {
  const offset = count(words, 2);
  const bytes = objectBytes(at, words, offset + 1);
  if (bytes === null) return 'none';
  bytes[offset] = count(words, 3);
  return 'ok';
}

function read(at: Attached, words: string[]): string {
  const offset = count(words, 2);
  return String(objectBytes(at, words, offset + 1)?.[offset] ?? 'none');
}

function fill(at: Attached, words: string[]): string {
  need(objectBytes(at, words, count(words, 2))).fill(count(words, 3));
  return 'ok';
}

function isFilled(at: Attached, words: string[]): string {
  const value = count(words, 3) & 255;
  return need(objectBytes(at, words, count(words, 2))).every((byte) => byte === value) ? 'yes' : 'no';
}

/** A method that answers nothing. */
const quietly = (run: (area: DsaArea, words: string[]) => void) => (at: Attached, words: string[]) => {
  run(at.area, words);
  return 'ok';
};

/** The operations on an attached area. */
const OPERATIONS: Record<string, (at: Attached, words: string[]) => string> = {
  alloc: allocate,
  free,
  write,
  read,
  fill,
  isfilled: isFilled,
  trim: quietly((area) => area.trim()),
  limit: quietly((area, words) => area.setSizeLimit(wide(words, 1))),
  pin: quietly((area) => area.pin()),
  unpin: quietly((area) => area.unpin()),
  total: ({ area }) => String(area.getTotalSize()),
  dump: ({ area }) => normalizeDump(area.dump()),
  segments: describeSegments,
  fpm: ({ area }, words) => area.dumpFreePages(count(words, 1)) ?? 'none',
  fpm_all: ({ area }) => describeFreePages(area),
  mapped: ({ area }) => area.mappedSegments().join(' '),
};

function perform(at: Attached | null, words: string[]): string {
  const operation = OPERATIONS[word(words, 0)];
  if (operation === undefined) throw new BadOperation(`unknown operation ${words[0]}`);
  if (at === null) throw new BadOperation('no area');
  return operation(at, words);
}

/** Unpins an area if it is pinned: only trying tells. */
function unpin(area: DsaArea): void {
  try {
    area.unpin();
  } catch (error) {
    if (!isSharedHeapError(error) || error.code !== 'ERR_HEAP_NOT_PINNED') throw error;
  }
}

/** The area of a `dsa` trace; there is one at a time. */
class Single {
  readonly #dsm: Dsm;
  #at: Attached | null = null;

  constructor(dsm: Dsm) {
    this.#dsm = dsm;
  }

  /** As the recorder does it: a pinned area would outlive its last participant. */
  drop(): void {
    if (this.#at === null) return;
    const { area, place } = this.#at;
    this.#at = null;
    unpin(area);
    if (place !== null) area.releaseInPlace();
    area.detach();
  }

  #adopt(area: DsaArea, place: DsaPlace | null): string {
    area.pinMapping();
    this.#at = { area, place, objects: new Map() };
    return 'ok';
  }

  step(words: string[]): string {
    switch (word(words, 0)) {
      case 'min_size':
        return String(DsaArea.minimumSize());
      case 'create':
        this.drop();
        return this.#adopt(DsaArea.create(this.#dsm), null);
      case 'create_in_place': {
        const size = count(words, 1);
        this.drop();
        // 8-aligned and not page-aligned, as the recorder's memory is.
        const place = { buffer: new SharedArrayBuffer(8 + size), byteOffset: 8 };
        return this.#adopt(DsaArea.createInPlace(this.#dsm, place, size), place);
      }
      default:
        return perform(this.#at, words);
    }
  }
}

/** One backend of a `dsa-multi` trace: a participant of its own. */
interface Backend {
  dsm: Dsm;
  at: Attached | null;
}

/** The backends of a `dsa-multi` trace and what they share. */
class Multi {
  readonly #dsm: Dsm;
  readonly #backends = new Map<string, Backend>();
  readonly #objects: Objects = new Map();
  #handle = 0;

  constructor(dsm: Dsm) {
    this.#dsm = dsm;
  }

  #backend(name: string): Backend {
    let backend = this.#backends.get(name);
    if (backend === undefined) {
      backend = { dsm: joinCluster(this.#dsm), at: null };
      this.#backends.set(name, backend);
    }
    return backend;
  }

  #adopt(backend: Backend, area: DsaArea): string {
    area.pinMapping();
    backend.at = { area, place: null, objects: this.#objects };
    return 'ok';
  }

  step(words: string[]): string {
    const backend = this.#backend(word(words, 0));
    const rest = words.slice(1);
    const operation = word(rest, 0);
    if ((operation === 'create' || operation === 'attach') && backend.at !== null) {
      throw new BadOperation('still attached');
    }
    switch (operation) {
      case 'create': {
        const area = DsaArea.create(backend.dsm);
        this.#handle = area.handle;
        return this.#adopt(backend, area);
      }
      case 'attach':
        return this.#adopt(backend, DsaArea.attach(backend.dsm, this.#handle));
      case 'detach': {
        const at = backend.at;
        if (at === null) throw new BadOperation('not attached');
        backend.at = null;
        at.area.detach();
        return 'ok';
      }
      default:
        return perform(backend.at, rest);
    }
  }

  close(): void {
    for (const backend of this.#backends.values()) backend.dsm.leave();
  }
}

/**
 * Replays a trace of kind `dsa` on a cluster of its own. Blocks; any thread that may block.
 *
 * @param ops the operations of the trace
 * @param store where segments lie
 * @param report gets one result for each operation, in order
 */
export function replayDsa(ops: readonly string[], store: StoreKind, report: Report): void {
  const dsm = openCluster(store);
  const single = new Single(dsm);
  runOps(ops, report, (words) => single.step(words));
  single.drop();
  dsm.leave();
}

/**
 * Replays a trace of kind `dsa-multi` on a cluster of its own, with one participant for each backend.
 *
 * @param ops the operations of the trace; the first word of each names the backend
 * @param store where segments lie
 * @param report gets one result for each operation, in order
 */
export function replayDsaMulti(ops: readonly string[], store: StoreKind, report: Report): void {
  const dsm = openCluster(store);
  const multi = new Multi(dsm);
  runOps(ops, report, (words) => multi.step(words));
  multi.close();
  dsm.leave();
}
