/**
 * Replays traces of kind `freepage`: the calls that a PostgreSQL server's page manager was given, on ours.
 *
 * The manager lies 56 bytes into page 0 of a zeroed region, where dsa has it in all segments but the first.
 */

import { FPM_PAGE_SIZE, FreePageManager } from '../freepage/freepage.js';
import { BadOperation, count, type Report, runOps } from './replay-ops.js';

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
 * @param report called once for each operation, in order; what one threw is its result
 */
export function replayFreepage(ops: string[], report: Report): void {
  let region: Region | null = null;
  runOps(ops, report, (words) => {
    if (words[0] === 'init') region = makeRegion(count(words, 1));
    if (region === null) throw new BadOperation('nothing was initialised');
    return replayOp(region, words);
  });
}

function makeRegion(npages: number): Region {
  const manager = new FreePageManager(new Int32Array(new SharedArrayBuffer(npages * FPM_PAGE_SIZE)), 0, HEADER_AT);
  manager.initialize();
  return { manager, freePages: 0 };
}

function replayOp(region: Region, words: string[]): string {
  const { manager } = region;
  switch (words[0]) {
    case 'init':
      return `ok ${state(manager)}`;
    case 'put': {
      const npages = count(words, 2);
      manager.put(count(words, 1), npages);
      region.freePages += npages;
      return `ok ${state(manager)}`;
    }
    case 'get': {
      const npages = count(words, 1);
      const first = manager.get(npages);
      if (first < 0) return `fail ${state(manager)}`;
      region.freePages -= npages;
      return `${first} ${state(manager)}`;
    }
    case 'dump':
      return manager.dump();
    case 'free_pages':
      return String(region.freePages);
    default:
      throw new BadOperation(`"${words[0]}" is not an operation of a page manager`);
  }
}

function state(manager: FreePageManager): string {
  return `${manager.contiguousPages} ${manager.btreeDepth} ${manager.btreeRecycleCount}`;
}
