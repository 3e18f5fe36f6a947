/**
 * Checks of a table: every invariant as a numbered check, findings instead of errors.
 *
 * | id | holds when no call on the table is under way |
 * |---|---|
 * | H1 | the control object is live and says so itself: own handle, magic, size_log2 from 7 to 31 |
 * | H2 | the bucket array is a live object with room for all buckets |
 * | H3 | chains end, and each item lies in a mapped segment where an item can lie |
 * | H4 | the hash of an item leads to the bucket that it is in |
 * | H5 | a partition counts the items in its buckets |
 * | H6 | all partition locks are free, nobody waits for them, none is poisoned, all have the table's tranche |
 * | H7 | each item is a live object that is large enough |
 *
 * At rest no lock is taken. With `quiescent: false` each partition is checked under its own lock, shared, and H6 is left
 * out. Changes nothing; ends on any contents, since no item is followed twice.
 */

import { checkRestingLock, type Finding, Findings, quiescentOption } from '../dsm/dsm.js';
import { lwlockFailure } from '../sync/sync.js';
import { bucketBytes } from './grow.js';
import {
  C_BUCKETS,
  C_MAGIC,
  C_SIZE_LOG2,
  C_TRANCHE,
  DSHASH_MAGIC,
  DshashControl,
  I_HASH,
  ITEM_HEADER,
  MAX_SIZE_LOG2,
  NUM_PARTITIONS,
  NUM_PARTITIONS_LOG2,
} from './layout.js';
import {
  countOf,
  hiOf,
  lockPartition,
  loOf,
  partitionWord,
  pointerOf,
  refresh,
  type TableState,
  unlockPartition,
  wordIndex,
  wordsOf,
} from './state.js';

/** How a table is checked. */
export interface TableVerifyOptions {
  /** False while other threads may use the table. Default true. */
  quiescent?: boolean;
}

/** Result of a check. Plain data. */
export interface TableReport {
  /** True when no error was found. */
  readonly ok: boolean;
  /** Single checks made. */
  readonly checks: number;
  readonly findings: readonly Finding[];
  /** Findings that are not listed, since there are enough of their id. */
  readonly unlisted: number;
  /** Items met. */
  readonly items: number;
}

/**
 * Checks a table. The participant's thread; blocks on locks only when `quiescent` is false.
 *
 * @param itemBytes bytes that each item has as an object of the area
 * @throws ERR_HEAP_BAD_OPTION; nothing for damage
 */
export function verifyTable(t: TableState, options: TableVerifyOptions, itemBytes: number): TableReport {
  const atRest = quiescentOption(options);
  const f = new Findings();
  const walk = new Walk(t, f, itemBytes);
  if (checkControl(t, f)) {
    for (let partition = 0; partition < NUM_PARTITIONS; partition++) {
      if (atRest) checkLock(t, f, partition);
      walk.partitionUnderLock(partition, atRest);
    }
  }
  return { ok: f.errors === 0, checks: f.checks, findings: f.list, unlisted: f.unlisted, items: walk.items };
}

/** H1. False when the rest cannot be looked at. */
function checkControl(t: TableState, f: Findings): boolean {
  const { control: a, at, handle, area } = t;
  const size = area.isLive(handle) ? area.sizeOf(handle) : 0;
  const live = f.check('H1', size >= DshashControl.SIZEOF, () => `the control object has ${size} bytes`);
  const own = a[at] === loOf(handle) && a[at + 1] === hiOf(handle);
  f.check('H1', own, () => `the handle of table ${handle} says ${pointerOf(a[at]!, a[at + 1]!)}`);
  const magic = a[at + C_MAGIC] === DSHASH_MAGIC;
  f.check('H1', magic, () => `the magic is 0x${(a[at + C_MAGIC]! >>> 0).toString(16)}`);
  const log2 = a[at + C_SIZE_LOG2]!;
  const sane = log2 >= NUM_PARTITIONS_LOG2 && log2 <= MAX_SIZE_LOG2 && a[at + C_SIZE_LOG2 + 1] === 0;
  return f.check('H1', sane, () => `size_log2 is ${log2}`) && live && magic;
}

/** H6. */
function checkLock(t: TableState, f: Findings, partition: number): void {
  const { area, control, ns, at } = t;
  const name = `the lock of partition ${partition}`;
  checkRestingLock(f, 'H6', area.state.dsm, name, control, partitionWord(t, partition), ns, control[at + C_TRANCHE]!);
}

class Walk {
  items = 0;
  readonly #t: TableState;
  readonly #f: Findings;
  readonly #itemBytes: number;

  constructor(t: TableState, f: Findings, itemBytes: number) {
    this.#t = t;
    this.#f = f;
    this.#itemBytes = itemBytes;
  }

  partitionUnderLock(partition: number, atRest: boolean): void {
    const t = this.#t;
    if (!atRest && !lockPartition(t, partition, false)) {
      this.#f.error('H6', lwlockFailure(t.p, t.control, t.failedLock, t.ns, t.area.state.dsm.tranches).toString());
      return;
    }
    this.#partition(partition);
    if (!atRest) unlockPartition(t, partition);
  }

  /** H2 to H5, H7 for one partition; its lock is held, or nobody is at work. */
  #partition(partition: number): void {
    const t = this.#t;
    const f = this.#f;
    const { control, at } = t;
    const array = pointerOf(control[at + C_BUCKETS]!, control[at + C_BUCKETS + 1]!);
    const room = t.area.isLive(array) ? t.area.sizeOf(array) : 0;
    const want = bucketBytes(control[at + C_SIZE_LOG2]!);
    if (!f.check('H2', room >= want, () => `the bucket array has ${room} bytes, not ${want}`)) return;
    if (!f.check('H2', refresh(t), () => 'the bucket array cannot be mapped')) return;
    const counted = countOf(t, partition);
    const perPartition = 2 ** (t.sizeLog2 - NUM_PARTITIONS_LOG2);
    const seen = new Set<number>();
    for (let bucket = partition * perPartition; bucket < (partition + 1) * perPartition; bucket++) {
      this.#chain(bucket, seen);
    }
    this.items += seen.size;
    f.check('H5', seen.size === counted, () => `partition ${partition} counts ${counted} items and has ${seen.size}`);
  }

  #chain(bucket: number, seen: Set<number>): void {
    const t = this.#t;
    const f = this.#f;
    let lo = t.buckets[t.bucketWord + 2 * bucket]!;
    let hi = t.buckets[t.bucketWord + 2 * bucket + 1]!;
    while ((lo | hi) !== 0) {
      const item = pointerOf(lo, hi);
      const at = wordIndex(lo, hi);
      const where = (): string => `item ${item} of bucket ${bucket}`;
      const words = hi >= 0 ? wordsOf(t, hi) : new Int32Array(0);
      const inside = item % 8 === 0 && at + ITEM_HEADER / 4 <= words.length;
      if (!f.check('H3', inside, () => `${where()} is no pointer to an item`)) return;
      if (!f.check('H3', !seen.has(item), () => `${where()} is met twice`)) return;
      seen.add(item);
      const leads = words[at + I_HASH]! >>> t.shift;
      f.check('H4', leads === bucket, () => `${where()} belongs into bucket ${leads}`);
      const room = t.area.isLive(item) ? t.area.sizeOf(item) : 0;
      f.check(
        'H7',
        room >= this.#itemBytes,
        () => `item ${item} is an object of ${room} bytes, not ${this.#itemBytes}`,
      );
      lo = words[at]!;
      hi = words[at + 1]!;
    }
  }
}
