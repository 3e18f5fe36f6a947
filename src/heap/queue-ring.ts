/**
 * The ring of a queue: putting a message in and taking one out, without waiting. The hot part.
 *
 * Stands on two LWLocks, one for those who send and one for those who receive, so that the two sides meet only in `tail`
 * and `head`. What a side reads of the other side's counter it keeps and reads again only when that says full, or empty:
 * a row of messages moves few cache lines. A message costs each side two atomic writes for the lock, one for its
 * counter, and one atomic read to see whether anybody waits.
 *
 * A message counts from the one store of `tail` on, and is gone from the one store of `head` on. So a thread that is
 * killed at any point leaves a whole queue: what it was putting in is not there, what it was taking out is still there,
 * or was already its own. But it leaves its side's lock held: the others of that side get ERR_HEAP_LOCK_STALLED, the
 * other side goes on with what there is.
 *
 * Nothing throws under a lock: results are codes, and what the engine might refuse is done before. Short messages go
 * through a private piece of 64 bytes, by words; there a loop is faster than `set`, which needs a view of the part.
 */

import { load, store } from '#atomic';
import type { SharedHeapError } from '../errors/errors.js';
import { unpark } from '../platform/platform.js';
import {
  EXCLUSIVE_BIT,
  HOLDERS_MASK,
  LOCK_STATE,
  lwlockAcquire,
  lwlockAcquireExclusive,
  lwlockFailure,
  lwlockRelease,
  lwlockReleaseNewest,
  LW_EXCLUSIVE,
  type Participant,
  type TrancheTable,
} from '../sync/sync.js';
import { HEADER_MARK, QueueControl } from './queue-layout.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use. */
const SEND_LOCK = QueueControl.send_lock / 4;
const TAIL = QueueControl.tail / 4;
const HEAD_SEEN = QueueControl.head_seen / 4;
const SENT = QueueControl.sent / 4;
const CLOSED = QueueControl.closed / 4;
const RECEIVE_LOCK = QueueControl.receive_lock / 4;
const HEAD = QueueControl.head / 4;
const TAIL_SEEN = QueueControl.tail_seen / 4;
const RECEIVED = QueueControl.received / 4;
const MARK = HEADER_MARK;

/** Word of the control that those who wait for a message park on; the count of them is the next word. */
export const RECEIVE_WAIT = QueueControl.receive_wait / 4;
/** The same for those who wait for room. */
export const SEND_WAIT = QueueControl.send_wait / 4;

/** Bytes of a message's header. */
export const HEADER_BYTES = 8;
/** Messages up to this length pass through {@link QueueRing.small}. */
export const SMALL = 64;
/** Locks whose word index is below this can be taken by the short form. */
const NEAR = 2 ** 31;

/** {@link QueueRing.put}: it is in. */
export const PUT = 0;
/** Nothing to take, or no room: not now. */
export const NOT_NOW = -1;
/** The queue is closed, and for those who receive: empty. */
export const ENDED = -2;
/** {@link QueueRing.take}: the target is too small; {@link QueueRing.needed} bytes are needed. */
export const TOO_SMALL = -3;
/** The lock could not be had; {@link QueueRing.refusal} says why. */
const REFUSED = -4;
/** The ring contradicts itself. */
export const DAMAGED = -5;

/** Where a queue lies: the parts of this participant's mapping that it needs. */
export interface QueuePlace {
  readonly participant: Participant;
  readonly tranches: TrancheTable;
  /** Words of the segment, in which the locks have the same index for every thread. */
  readonly words: Int32Array;
  /** Number of that memory for locks. */
  readonly ns: number;
  /** Word index of the control in the segment. */
  readonly word: number;
  /** Bytes of the ring. */
  readonly capacity: number;
}

/** This thread's view of one queue. */
export class QueueRing {
  /** Words of the control. */
  readonly control: Int32Array;
  /** Bytes of the ring. */
  readonly capacity: number;
  /** Holds a short message: put there before {@link put} or found there after {@link take}. */
  readonly small = new Uint8Array(SMALL);
  /** The first n bytes of {@link small}, for each n. */
  readonly smallParts: readonly Uint8Array[] = Array.from({ length: SMALL + 1 }, (_, n) => this.small.subarray(0, n));
  /** Polls between two looks of who waits; see queue-wait.ts. */
  pause = 16;
  /** Length of the message that did not fit the target. */
  needed = 0;
  readonly participant: Participant;
  readonly #smallWords = new Int32Array(this.small.buffer);
  readonly #place: QueuePlace;
  readonly #words: Int32Array;
  readonly #ns: number;
  readonly #sendLock: number;
  readonly #receiveLock: number;
  readonly #near: boolean;
  readonly #bytes: Uint8Array;
  /** The memory, and where in it the bytes of a message whose header is at 0 begin. */
  readonly #buffer: ArrayBufferLike;
  readonly #first: number;
  readonly #ring: Int32Array;
  readonly #mask: number;
  /** The lock that was refused last. */
  #refused = 0;

  constructor(place: QueuePlace) {
    const { words, word, capacity } = place;
    const { buffer } = words;
    const start = words.byteOffset + word * 4;
    this.#place = place;
    this.participant = place.participant;
    this.capacity = capacity;
    this.control = new Int32Array(buffer, start, QueueControl.SIZEOF / 4);
    this.#buffer = buffer;
    this.#first = start + QueueControl.SIZEOF + HEADER_BYTES;
    this.#bytes = new Uint8Array(buffer, start + QueueControl.SIZEOF, capacity);
    this.#ring = new Int32Array(buffer, start + QueueControl.SIZEOF, capacity / 4);
    this.#words = words;
    this.#ns = place.ns;
    this.#sendLock = word + SEND_LOCK;
    this.#receiveLock = word + RECEIVE_LOCK;
    this.#near = this.#receiveLock < NEAR;
    this.#mask = capacity - 1;
  }

  #lock(i: number): boolean {
    const p = this.participant;
    const taken = this.#near
      ? lwlockAcquireExclusive(p, this.#words, i, this.#ns)
      : lwlockAcquire(p, this.#words, i, this.#ns, LW_EXCLUSIVE);
    if (taken !== 0) return true;
    this.#refused = i;
    return false;
  }

  #unlock(i: number): void {
    if (this.#near) lwlockReleaseNewest(this.participant, this.#words, i, this.#ns);
    else lwlockRelease(this.participant, this.#words, i, this.#ns);
  }

  /** Why the last call was {@link REFUSED}. */
  refusal(): SharedHeapError {
    return lwlockFailure(this.participant, this.#words, this.#refused, this.#ns, this.#place.tranches);
  }

  /** Whether the holder that a refusal was due to is gone for good. */
  get holderGone(): boolean {
    return this.participant.failureOwnerGone;
  }

  /**
   * Puts a message in, if there is room. Does not wait but for the lock.
   *
   * @param source the message, exactly, unless it is short: then it is in {@link small}. Its length must not change
   *   meanwhile.
   * @param n bytes; header and padded bytes must fit the capacity
   * @returns PUT, NOT_NOW, ENDED, REFUSED
   */
  put(source: Uint8Array, n: number): number {
    const lock = this.#sendLock;
    if (!this.#lock(lock)) return REFUSED;
    const c = this.control;
    const tail = c[TAIL]!;
    const need = (n + 15) & ~7;
    let result = PUT;
    if (c[CLOSED] !== 0) {
      result = ENDED;
    } else if (need > this.capacity - ((tail - c[HEAD_SEEN]!) | 0) && !this.#roomNow(tail, need)) {
      result = NOT_NOW;
    } else {
      const at = tail & this.#mask;
      const ring = this.#ring;
      ring[at >> 2] = n;
      ring[(at >> 2) + 1] = tail ^ MARK;
      if (n <= SMALL) this.#putSmall(at, n);
      else if (at + 8 + n <= this.capacity) this.#bytes.set(source, at + 8);
      else this.#putWrapped(at + 8, source, n);
      c[SENT] = (c[SENT]! + 1) | 0;
      store(c, TAIL, (tail + need) | 0);
    }
    this.#unlock(lock);
    if (result === PUT && load(c, RECEIVE_WAIT) !== 0) this.wakeOne(RECEIVE_WAIT);
    return result;
  }

  /** Reads the other side's counter again. Under the send lock. */
  #roomNow(tail: number, need: number): boolean {
    const c = this.control;
    const head = load(c, HEAD);
    c[HEAD_SEEN] = head;
    return need <= this.capacity - ((tail - head) | 0);
  }

  #putSmall(at: number, n: number): void {
    const ring = this.#ring;
    const from = this.#smallWords;
    const mask = this.#mask >> 2;
    const first = (at >> 2) + 2;
    for (let i = 0; i << 2 < n; i++) ring[(first + i) & mask] = from[i]!;
  }

  #putWrapped(from: number, source: Uint8Array, n: number): void {
    const first = this.capacity - from;
    if (first > 0) this.#bytes.set(source.subarray(0, first), from);
    this.#bytes.set(source.subarray(first, n), 0);
  }

  /**
   * Takes the first message out. Does not wait but for the lock.
   *
   * @param target where a message longer than SMALL is put; shorter ones are found in {@link small}
   * @param most bytes that the message may have; at most the larger of SMALL and the target's length
   * @returns length of the message, or NOT_NOW, ENDED, TOO_SMALL, REFUSED, DAMAGED: then nothing was taken
   */
  take(target: Uint8Array, most: number): number {
    const lock = this.#receiveLock;
    if (!this.#lock(lock)) return REFUSED;
    const c = this.control;
    const head = c[HEAD]!;
    let result = c[TAIL_SEEN] === head ? this.#newsNow(head) : 0;
    if (result === 0) {
      const at = head & this.#mask;
      const n = this.#ring[at >> 2]!;
      const need = (n + 15) & ~7;
      if (this.#ring[(at >> 2) + 1] !== (head ^ MARK) || n < 0 || need > ((c[TAIL_SEEN]! - head) | 0)) {
        result = DAMAGED;
      } else if (n > most) {
        this.needed = n;
        result = TOO_SMALL;
      } else {
        result = n;
        if (n <= SMALL) this.#takeSmall(at, n);
        else if (at + 8 + n <= this.capacity) target.set(new Uint8Array(this.#buffer, this.#first + at, n));
        else this.#takeWrapped(at + 8, target, n);
        c[RECEIVED] = (c[RECEIVED]! + 1) | 0;
        store(c, HEAD, (head + need) | 0);
      }
    }
    this.#unlock(lock);
    if (result >= 0 && load(c, SEND_WAIT) !== 0) this.wakeOne(SEND_WAIT);
    return result;
  }

  /** Reads the other side's counter again; 0 when there are messages. Under the receive lock. */
  #newsNow(head: number): number {
    const c = this.control;
    let tail = load(c, TAIL);
    let ended = NOT_NOW;
    if (tail === head && load(c, CLOSED) !== 0) {
      // What was sent before it was closed is there by now.
      tail = load(c, TAIL);
      ended = ENDED;
    }
    c[TAIL_SEEN] = tail;
    return tail === head ? ended : 0;
  }

  #takeSmall(at: number, n: number): void {
    const ring = this.#ring;
    const to = this.#smallWords;
    const mask = this.#mask >> 2;
    const first = (at >> 2) + 2;
    for (let i = 0; i << 2 < n; i++) to[i] = ring[(first + i) & mask]!;
  }

  #takeWrapped(from: number, target: Uint8Array, n: number): void {
    const first = this.capacity - from;
    if (first > 0) target.set(this.#bytes.subarray(from, this.capacity));
    target.set(this.#bytes.subarray(0, n - first), first);
  }

  /** Whether there is a message. Does not lock; an answer of the moment. */
  hasMessages(): boolean {
    return load(this.control, TAIL) !== load(this.control, HEAD);
  }

  /** Whether a message of `n` bytes would fit. Does not lock; an answer of the moment. */
  hasRoom(n: number): boolean {
    return ((n + 15) & ~7) <= this.capacity - ((load(this.control, TAIL) - load(this.control, HEAD)) | 0);
  }

  #held(lock: number): boolean {
    return (load(this.control, lock + LOCK_STATE) & (EXCLUSIVE_BIT | HOLDERS_MASK)) !== 0;
  }

  /** Whether the queue was closed. */
  get closed(): boolean {
    return load(this.control, CLOSED) !== 0;
  }

  /** Messages in the queue. Does not lock; an answer of the moment; off by one for each side whose lock a death left held. */
  get messages(): number {
    const c = this.control;
    // In this order, and never negative: a message may be sent and received in between.
    const received = load(c, RECEIVED);
    return Math.max(0, (load(c, SENT) - received) | 0);
  }

  /** Bytes in use, headers and padding included. Does not lock; an answer of the moment. */
  get used(): number {
    const head = load(this.control, HEAD);
    return Math.min(Math.max(0, (load(this.control, TAIL) - head) | 0), this.capacity);
  }

  /** Wakes the one that has waited longest, if anybody waits. */
  wakeOne(wait: number): void {
    if (load(this.control, wait) === 0) return;
    store(this.control, wait, 0);
    unpark(this.control, wait, 1);
  }

  /**
   * Closes the queue, so that nothing is sent any more. When the lock's holder is gone, nobody can be sending, and it is
   * closed all the same.
   *
   * @returns PUT or REFUSED
   */
  close(): number {
    const c = this.control;
    const locked = this.#lock(this.#sendLock);
    if (!locked && !this.holderGone) return REFUSED;
    store(c, CLOSED, 1);
    if (locked) this.#unlock(this.#sendLock);
    this.stir();
    return PUT;
  }

  /** Makes everybody who waits, in any thread, look again. */
  stir(): void {
    for (const wait of [RECEIVE_WAIT, SEND_WAIT]) {
      store(this.control, wait, 0);
      unpark(this.control, wait);
    }
  }

  /**
   * What is wrong with the queue, a sentence each; empty when nothing is. Changes nothing; any thread, while nobody
   * sends or receives. Walks at most once around the ring.
   */
  verify(): string[] {
    const c = this.control;
    const head = load(c, HEAD);
    const used = (load(c, TAIL) - head) | 0;
    if (used < 0 || used > this.capacity || (head & 7) !== 0 || (used & 7) !== 0) {
      return [`head ${head} and tail ${head + used} do not fit a ring of ${this.capacity} bytes`];
    }
    let messages = 0;
    let offset = 0;
    while (offset < used) {
      const at = (head + offset) & this.#mask;
      const n = this.#ring[at >> 2]!;
      const bad = n < 0 || n > this.capacity || this.#ring[(at >> 2) + 1] !== (((head + offset) | 0) ^ MARK);
      if (bad) return [`the header at position ${head + offset} is damaged`];
      offset += (n + 15) & ~7;
      messages++;
    }
    const counted = (c[SENT]! - c[RECEIVED]!) | 0;
    // Whoever was killed between counting and moving head or tail has left its lock held.
    const least = messages - (this.#held(RECEIVE_LOCK) ? 1 : 0);
    const most = messages + (this.#held(SEND_LOCK) ? 1 : 0);
    const problems: string[] = [];
    if (offset !== used) problems.push(`messages end at ${offset} of ${used} bytes`);
    if (counted < least || counted > most) problems.push(`${counted} messages counted, ${messages} found`);
    return problems;
  }
}
