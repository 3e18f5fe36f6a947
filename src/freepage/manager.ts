/**
 * FreePageManager: which runs of 4096-byte pages of one piece of memory are free.
 *
 * It has no memory of its own beyond a header of 1096 bytes: leaders, lists and the B-tree lie in the free pages.
 * Placement is PostgreSQL's exactly: the same calls give the same pages. This is the form for the layers above, with
 * trusted arguments; `freePages` is the checked one for everybody else.
 *
 * Not thread-safe by itself. The caller holds the one lock that guards this manager (the area lock in dsa, the control
 * lock in dsm) exclusively during every call, from any thread; nothing here blocks, allocates or takes a lock.
 * Damage that is noticed is thrown as ERR_HEAP_CORRUPT and is final: the call may have been half done.
 *
 * Cost: a get or put is two or three cache lines with a single run, plus one or two searches of the tree otherwise.
 * Requests above 128 pages scan the list of long runs, as in C. Left for later: nothing of PostgreSQL's is missing.
 */

import { relptrStore } from '../layout/layout.js';
import { cleanup, needsCleanup } from './cleanup.js';
import { dumpFreePages } from './dump.js';
import { giveRun } from './give.js';
import { FreePageHandle } from './handle.js';
import { largestRun, refreshLargest } from './spans.js';
import * as structs from './structs.js';
import { takeRun } from './take.js';
import { walkRecycled, walkRuns, walkTree, type FreeRun } from './walk.js';

// Copied because an imported constant is loaded anew at each use, while one of this module is folded into the code.
const { H_CONTIGUOUS, H_DEPTH, H_DIRTY, H_RECYCLE_COUNT } = structs;

/** Pages that no run has: a segment has at most 2^40 bytes. If this were higher, lengths would not be small integers. */
const TOO_MANY_PAGES = 2 ** 28;

/** One page manager as this thread sees it; see the head of the file. */
export class FreePageManager {
  /** Bytes of the header. */
  static readonly SIZEOF = 1096;

  /** Views and registers, for the other parts of this folder. */
  readonly handle: FreePageHandle;

  /**
   * Looks at a manager; touches nothing. Any thread, also before {@link initialize}.
   *
   * @param a the memory, at least from page 0 to the last page that will be given
   * @param base word index in `a` where page 0 begins
   * @param at byte offset of the header from page 0, a multiple of 8; the pages it lies in are never given
   */
  constructor(a: Int32Array, base: number, at: number) {
    this.handle = new FreePageHandle(a, base, at);
  }

  /** Writes a header with no free page. Nobody else may use the manager yet. Source: FreePageManagerInitialize. */
  initialize(): void {
    const m = this.handle;
    m.a.fill(0, m.header, m.header + structs.FREE_PAGE_MANAGER.SIZEOF / 4);
    relptrStore(m.a, m.header, (m.header - m.base) * 4);
    m.a[m.header + H_DIRTY] = 1;
  }

  /**
   * Takes a run of pages: the shortest that is long enough. Source: FreePageManagerGet.
   *
   * Can leave {@link contiguousPages} larger than before, because clean-up follows also when nothing was found.
   *
   * @param npages pages wanted, a whole number from 1; not checked. However large, the answer is right
   * @returns the first page, or -1 when no run is long enough
   * @throws ERR_HEAP_CORRUPT
   */
  get(npages: number): number {
    const m = this.handle;
    const a = m.a;
    const h = m.header;
    const first = takeRun(m, Math.min(npages, TOO_MANY_PAGES) | 0);
    if (needsCleanup(m)) {
      const made = cleanup(m);
      if (made > a[h + H_CONTIGUOUS]!) a[h + H_CONTIGUOUS] = made;
    }
    if (a[h + H_DIRTY] !== 0) refreshLargest(m);
    return first;
  }

  /**
   * Gives a run of pages, which become free. Source: FreePageManagerPut.
   *
   * @param first first page, below 2^28; not checked
   * @param npages number of pages, a whole number from 1; not checked
   * @throws ERR_HEAP_CORRUPT, also when some of the pages belong to a free run; nothing is changed then
   */
  put(first: number, npages: number): void {
    const m = this.handle;
    const a = m.a;
    const h = m.header;
    let made = giveRun(m, first | 0, npages | 0, false);
    if (made > npages && needsCleanup(m)) {
      const cleaned = cleanup(m);
      if (cleaned > made) made = cleaned;
    }
    if (made > a[h + H_CONTIGUOUS]!) a[h + H_CONTIGUOUS] = made;
    if (a[h + H_DIRTY] !== 0) refreshLargest(m);
  }

  /** Length in pages of the longest run that a get can have; right between calls. */
  get contiguousPages(): number {
    return this.handle.a[this.handle.header + H_CONTIGUOUS]!;
  }

  /** Levels of the B-tree; 0 while there is at most one run. */
  get btreeDepth(): number {
    return this.handle.a[this.handle.header + H_DEPTH]!;
  }

  /** Free pages that are kept back for the B-tree and cannot be had. */
  get btreeRecycleCount(): number {
    return this.handle.a[this.handle.header + H_RECYCLE_COUNT]!;
  }

  /**
   * Length in pages of the longest run, counted afresh from the lists. Source: FreePageManagerLargestContiguous.
   *
   * @throws ERR_HEAP_CORRUPT
   */
  largest(): number {
    return largestRun(this.handle);
  }

  /** Everything as text, word for word as PostgreSQL prints it. Source: FreePageManagerDump. */
  dump(): string {
    return dumpFreePages(this.handle);
  }

  /**
   * All free runs in order of address. The manager must not change under way.
   *
   * @throws ERR_HEAP_CORRUPT
   */
  runs(): Iterable<FreeRun> {
    return walkRuns(this.handle);
  }

  /**
   * The pages that the B-tree lies in, parents first. The manager must not change under way.
   *
   * @throws ERR_HEAP_CORRUPT
   */
  treePages(): Iterable<number> {
    return walkTree(this.handle);
  }

  /**
   * The pages on the recycle list, from its head. The manager must not change under way.
   *
   * @throws ERR_HEAP_CORRUPT
   */
  recyclePages(): Iterable<number> {
    return walkRecycled(this.handle);
  }
}
