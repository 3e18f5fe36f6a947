/**
 * Replays traces of kind `freepage`: the calls that a PostgreSQL server's page manager was given, on ours.
 *
 * The manager lies 56 bytes into page 0 of a zeroed region, where dsa has it in all segments but the first.
 */

import { FPM_PAGE_SIZE, FreePageManager } from '../freepage/freepage.js';

/** Byte of the header: behind a segment header of dsa. */
const HEADER_AT = 56;

/** One region under replay. */
interface Region {
  readonly manager: FreePageManager;
  /** Pages put minus pages got. */
  freePages: number;
}

/**
 * Replays operations and reports what each gave, in the words of the recorded results.
 *
 * @param ops `init N`, `put FIRST N`, `get N`, `dump`, `free_pages`, one per element
 * @param report called once for each operation, in order
 * @throws Error for an operation that is not one of these
 */
export function replayFreepage(ops: string[], report: (index: number, got: string) => void): void {
  let region: Region | null = null;
  for (const [index, op] of ops.entries()) {
    const [verb, x, y] = op.split(' ');
    if (verb === 'init') region = makeRegion(Number(x));
    if (region === null) throw new Error(`operation ${index} (${op}) comes before init`);
    report(index, replayOp(region, verb, Number(x), Number(y)));
  }
}

function makeRegion(npages: number): Region {
  const manager = new FreePageManager(new Int32Array(new SharedArrayBuffer(npages * FPM_PAGE_SIZE)), 0, HEADER_AT);
  manager.initialize();
  return { manager, freePages: 0 };
}

function replayOp(region: Region, verb: string | undefined, x: number, y: number): string {
  const { manager } = region;
  switch (verb) {
    case 'init':
      return `ok ${state(manager)}`;
    case 'put':
      manager.put(x, y);
      region.freePages += y;
      return `ok ${state(manager)}`;
    case 'get': {
      const first = manager.get(x);
      if (first < 0) return `fail ${state(manager)}`;
      region.freePages -= x;
      return `${first} ${state(manager)}`;
    }
    case 'dump':
      return manager.dump();
    case 'free_pages':
      return String(region.freePages);
    default:
      throw new Error(`unknown operation ${String(verb)} in a trace of the page manager`);
  }
}

function state(manager: FreePageManager): string {
  return `${manager.contiguousPages} ${manager.btreeDepth} ${manager.btreeRecycleCount}`;
}
