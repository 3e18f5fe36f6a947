/**
 * What the replays of dsa and dsm traces have in common: splitting an operation into words, reading numbers
 * that may exceed 2^53, turning a thrown error into the text that the C original reports, and running a list of
 * operations so that nothing can crash or hang the replay.
 */

import { Dsm } from '../dsm/dsm.js';
import { isSharedHeapError, type SharedHeapError } from '../errors/errors.js';

/** Where the segments of a replay lie. */
export type StoreKind = 'region' | 'buffers';

/** Called once for each operation, in order, with what the library answered. */
export type Report = (index: number, got: string) => void;

/**
 * Segment slots of a replay's cluster: PostgreSQL's 64 + 5 * MaxBackends for the server that recorded the traces
 * (242 backends). Lower: a trace with many segments would end in "too many segments" where the original did not.
 * Higher: it would go on where the original stopped.
 */
const SEGMENT_SLOTS = 64 + 5 * 242;

/**
 * How long an operation may wait for a lock or a buffer, in ms. All participants of a replay share one thread, so
 * nobody can release a lock meanwhile: every wait is a bug already. Lower: a busy machine could be mistaken for
 * one. Higher: a broken library takes longer to be told.
 */
const WAIT_LIMIT = 5000;

/** An operation that is not part of the format. */
export class BadOperation extends Error {}

/** A new cluster that only this replay knows; the one who asks is its first participant. */
export function openCluster(store: StoreKind): Dsm {
  return Dsm.create({ store, segments: SEGMENT_SLOTS, lockTimeout: WAIT_LIMIT, attachTimeout: WAIT_LIMIT });
}

/** One more participant of the same cluster, in the same thread. */
export function joinCluster(dsm: Dsm): Dsm {
  return Dsm.join(dsm.handle, { lockTimeout: WAIT_LIMIT });
}

/** The word at a place, which must be there. */
export function word(words: readonly string[], at: number): string {
  const text = words[at];
  if (text === undefined) throw new BadOperation('too few words');
  return text;
}

/** An unsigned number of up to 64 bits: a number while that is exact, else a bigint. */
export function wide(words: readonly string[], at: number): number | bigint {
  const text = word(words, at);
  if (!/^\d+$/.test(text)) throw new BadOperation(`"${text}" is not a number`);
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** An unsigned number that must be exact in JavaScript: an offset, an index, a byte. */
export function count(words: readonly string[], at: number): number {
  const value = wide(words, at);
  if (typeof value === 'bigint') throw new BadOperation(`${value} is too large here`);
  return value;
}

/** The error as the recorder writes it: `error SQLSTATE message`, then ` | detail` if there is one. */
function errorText(error: SharedHeapError): string {
  const detail = error.pgDetail === '' ? '' : ` | ${error.pgDetail}`;
  return `error ${error.sqlState} ${error.pgMessage}${detail}`;
}

/** What an exception looks like as a result. Only the library's own errors can equal something recorded. */
function thrownText(error: unknown): string {
  if (isSharedHeapError(error)) return errorText(error);
  return `threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
}

/**
 * Runs operations one after the other. Whatever one throws is its result, and the next one works on the state
 * that was left. After a stalled lock the rest is reported as not run: each of them could wait as long again.
 *
 * @param ops the operations
 * @param report gets one result for each
 * @param step does one operation, given as its words, and returns the result
 */
export function runOps(ops: readonly string[], report: Report, step: (words: string[]) => string): void {
  let stalled = false;
  for (const [index, op] of ops.entries()) {
    if (stalled) {
      report(index, 'not run: a lock stalled before');
      continue;
    }
    let got: string;
    try {
      got = step(op.split(' ').filter((text) => text !== ''));
    } catch (error) {
      got = thrownText(error);
      stalled = isSharedHeapError(error) && error.code === 'ERR_HEAP_LOCK_STALLED';
    }
    report(index, got);
  }
}
