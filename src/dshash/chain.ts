/**
 * Chains: finding, linking and unlinking items of one bucket. Under the lock of its partition, after `refresh`.
 *
 * Nothing here throws; failures are noted in the table's state. A walk ends after as many items as the partition counts.
 */

import { I_HASH, ITEM_HEADER, partitionOf } from './layout.js';
import { corrupt, countOf, type TableState, wordIndex, wordsOf } from './state.js';

/** Where {@link findItem} stopped; private to the thread, valid until the next call. */
export class Place {
  /** The item: its two words (both 0 when there is none), words of its segment, word index there. */
  lo = 0;
  hi = 0;
  words: Int32Array = new Int32Array(0);
  at = 0;
  /** The link that leads to it: words and word index of an item or of the bucket. */
  linkWords: Int32Array = new Int32Array(0);
  linkAt = 0;
}

/** Tells whether the entry at a word is the wanted one. Must not throw. */
export type Match = (words: Int32Array, entryWord: number) => boolean;

/** Word of the bucket of a hash. */
function bucketWordOf(t: TableState, hash: number): number {
  return t.bucketWord + 2 * (hash >>> t.shift);
}

/**
 * Walks the chain of a hash up to the item that matches.
 *
 * @returns false with `failure` set; else `place` holds the item, or lo = hi = 0 and the link at the end of the chain
 */
export function findItem(t: TableState, hash: number, match: Match, place: Place): boolean {
  place.linkWords = t.buckets;
  place.linkAt = bucketWordOf(t, hash);
  const signed = hash | 0;
  let left = countOf(t, partitionOf(hash));
  for (;;) {
    const lo = place.linkWords[place.linkAt]!;
    const hi = place.linkWords[place.linkAt + 1]!;
    place.lo = lo;
    place.hi = hi;
    if ((lo | hi) === 0) return true;
    if (left-- <= 0) return corrupt(t, 'a chain has more items than its partition');
    const words = wordsOf(t, hi);
    if (words.length === 0) return false;
    const at = wordIndex(lo, hi);
    place.words = words;
    place.at = at;
    if (words[at + I_HASH] === signed && match(words, at + ITEM_HEADER / 4)) return true;
    place.linkWords = words;
    place.linkAt = at;
  }
}

/** Takes the item at `place` out of its chain. Under the exclusive lock. */
export function unlinkItem(place: Place): void {
  place.linkWords[place.linkAt] = place.words[place.at]!;
  place.linkWords[place.linkAt + 1] = place.words[place.at + 1]!;
}

/** Puts an item, given by its two words and where it lies, at the head of the bucket of a hash. Under the exclusive lock. */
export function pushItem(t: TableState, hash: number, lo: number, hi: number, words: Int32Array, at: number): void {
  const bucket = bucketWordOf(t, hash);
  words[at + I_HASH] = hash;
  words[at] = t.buckets[bucket]!;
  words[at + 1] = t.buckets[bucket + 1]!;
  t.buckets[bucket] = lo;
  t.buckets[bucket + 1] = hi;
}
