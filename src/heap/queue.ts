/**
 * SharedQueue: a queue among threads, found by its name. Many may send, many may receive.
 *
 * Each message is received exactly once, by one of those who receive, and messages of one sender are received in the
 * order in which it sent them. The queue holds a bounded number of bytes: where there is no room, `send` waits, `trySend`
 * says no. `close` ends it for all: what was sent is still received, then receiving yields `undefined`.
 *
 * Stands on the ring (queue-ring.ts: locks, and what a death leaves), on waiting (queue-wait.ts) and on codecs. One
 * object belongs to one thread. Values are encoded before and decoded after the lock: a value that cannot be encoded
 * leaves the queue as it was, and a message that cannot be decoded has been received.
 *
 * A queue stands between threads that may be killed. One that dies while it sends or receives leaves the queue whole, but
 * may leave its side's lock held: then all others of that side get ERR_HEAP_LOCK_STALLED. A message that was received
 * by a thread which then died is gone with it.
 */

import { ATTENTION_WORD, type Dsm } from '../dsm/dsm.js';
import { now, throwIfAborted } from '../platform/platform.js';
import type { NamedObject, NamedSeam } from './named.js';
import { type CodecName, makePacker, type Packer, type QueueCodec, reserve } from './queue-codec.js';
import { intoError, receiveError, sendError, tooLong } from './queue-failures.js';
import { openQueue, requireAgreement } from './queue-open.js';
import {
  checkAsyncOptions,
  checkQueueOptions,
  checkWaitOptions,
  type QueueAsyncOptions,
  type QueueOptions,
  type QueueWaitOptions,
  requireTarget,
} from './queue-options.js';
import {
  ENDED,
  HEADER_BYTES,
  NOT_NOW,
  PUT,
  QueueRing,
  RECEIVE_WAIT,
  SEND_WAIT,
  SMALL,
  TOO_SMALL,
} from './queue-ring.js';
import { spinUntil, Turns, waitFor, waitForAsync } from './queue-wait.js';

/** Private memory for long messages that is kept from one to the next. Higher: memory for nothing; lower: made anew. */
const KEPT_BYTES = 2 ** 20;
const NOTHING = new Uint8Array(0);
const ATTENTION = ATTENTION_WORD;

/** A queue of values of type T. Made by `heap.queue(name, options)`. */
export class SharedQueue<T = unknown> implements NamedObject {
  /** Its name in the heap. */
  readonly name: string;
  readonly #ring: QueueRing;
  readonly #packer: Packer;
  /** On `buffers`: the participant, which others may ask for buffers. */
  readonly #listener: Dsm | null;
  readonly #mayTake: () => boolean;
  #scratch: Uint8Array = NOTHING;
  /** The part of it that the last long message was found in. */
  #part: Uint8Array = NOTHING;
  /** Why the scratch could not be had. */
  #refused: unknown = null;
  readonly #turns = new Turns();

  private constructor(name: string, dsm: Dsm, ring: QueueRing, codec: CodecName | QueueCodec<unknown>) {
    this.name = name;
    this.#ring = ring;
    this.#packer = makePacker(codec, ring.small);
    this.#listener = dsm.storeKind === 'buffers' ? dsm : null;
    this.#mayTake = () => ring.hasMessages();
  }

  /** For `heap.queue`. @internal */
  static open<T>(seam: NamedSeam, name: string, options?: QueueOptions<T>): SharedQueue<T> {
    const { place, codec } = openQueue(seam, name, checkQueueOptions(options));
    return new SharedQueue<T>(name, seam.dsm, new QueueRing(place), codec);
  }

  /** Throws ERR_HEAP_BAD_OPTION unless these options are those of this queue. @internal */
  requireSame(options?: QueueOptions<T>): void {
    requireAgreement(this.name, this, checkQueueOptions(options));
  }

  /** Lets waits of this thread find out that its heap was closed. @internal */
  heapClosed(): void {
    this.#ring.stir();
  }

  /** Bytes that messages may take, each with 8 bytes more than its own, rounded up to 8. */
  get capacity(): number {
    return this.#ring.capacity;
  }

  /** Name of the codec. */
  get codec(): string {
    return this.#packer.name;
  }

  /** Messages that wait to be received. An answer of the moment. */
  get size(): number {
    return this.#ring.messages;
  }

  /** Bytes of the capacity that they take. An answer of the moment. */
  get used(): number {
    return this.#ring.used;
  }

  /** True once anybody has closed the queue; there may still be messages. */
  get closed(): boolean {
    return this.#ring.closed;
  }

  /** True once the queue is closed and everything was received. */
  get ended(): boolean {
    return this.#ring.closed && !this.#ring.hasMessages();
  }

  /**
   * Sends a value, waiting for room if need be.
   *
   * @param value what the codec takes; encoded and copied
   * @param options `timeout` in milliseconds
   * @throws ERR_HEAP_CLOSED (the queue or the heap), ERR_HEAP_TIMEOUT, ERR_HEAP_BAD_SIZE (longer than the capacity),
   *   ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_OPTION, ERR_HEAP_LOCK_STALLED, ERR_HEAP_WOULD_BLOCK where threads must not be
   *   parked, and what a codec throws; nothing was sent then. The queue's thread; blocks.
   */
  send(value: T, options?: QueueWaitOptions): void {
    const timeout = options === undefined ? Number.POSITIVE_INFINITY : checkWaitOptions(options);
    const n = this.#pack(value);
    let result = this.#ring.put(this.#packer.packed, n);
    if (result === NOT_NOW) result = this.#sendWaiting(n, timeout);
    if (result !== PUT) throw sendError(this.name, this.#ring, result, timeout);
  }

  /**
   * Sends a value if there is room now.
   *
   * @returns false when there is none; nothing was sent
   * @throws as {@link send}, but for the timeout. The queue's thread; waits at most for the lock of those who send.
   */
  trySend(value: T): boolean {
    const n = this.#pack(value);
    const result = this.#ring.put(this.#packer.packed, n);
    if (result !== PUT && result !== NOT_NOW) throw sendError(this.name, this.#ring, result, 0);
    return result === PUT;
  }

  /**
   * {@link send} without blocking: the event loop goes on, and is kept alive, while it waits for room. The value is encoded
   * before this returns. Several calls that wait may be done in any order: await each for the order to hold.
   *
   * @param options `timeout` in milliseconds, `signal`
   * @throws (as a rejection) as {@link send}, ERR_HEAP_ABORTED, ERR_HEAP_UNSUPPORTED
   */
  async sendAsync(value: T, options?: QueueAsyncOptions): Promise<void> {
    const { timeout, signal } = checkAsyncOptions(options);
    throwIfAborted(signal);
    const n = this.#pack(value);
    const ring = this.#ring;
    let result = ring.put(this.#packer.packed, n);
    if (result === NOT_NOW && timeout > 0) {
      // Others may use the packer meanwhile, and the caller may change the bytes.
      const own = n <= SMALL ? ring.small.slice(0, n) : this.#packer.packed.slice();
      const attempt = () => {
        if (n <= SMALL) ring.small.set(own);
        return ring.put(own, n);
      };
      result = await waitForAsync(ring, SEND_WAIT, attempt, () => ring.hasRoom(n), now() + timeout, signal);
      this.#turns.waited();
    } else if (this.#turns.due()) {
      await this.#turns.take();
    }
    if (result !== PUT) throw sendError(this.name, this.#ring, result, timeout);
  }

  /**
   * Receives the next value, waiting for it if need be.
   *
   * @param options `timeout` in milliseconds
   * @returns undefined when the queue is closed and everything was received
   * @throws ERR_HEAP_TIMEOUT, ERR_HEAP_CLOSED (the heap), ERR_HEAP_BAD_OPTION, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT,
   *   ERR_HEAP_HOST_LIMIT (no memory for it: it stays), ERR_HEAP_WOULD_BLOCK where threads must not be parked, and what
   *   a codec throws: the message is received then. The queue's thread; blocks.
   */
  receive(options?: QueueWaitOptions): T | undefined {
    const timeout = options === undefined ? Number.POSITIVE_INFINITY : checkWaitOptions(options);
    this.#attend();
    let n = this.#take();
    if (n === NOT_NOW) n = this.#receiveWaiting(() => this.#take(), timeout);
    return n === ENDED ? undefined : this.#value(n, timeout);
  }

  /**
   * Receives the next value if there is one now.
   *
   * @returns undefined when there is none; {@link ended} tells whether there will be any
   * @throws as {@link receive}, but for the timeout. The queue's thread; waits at most for the lock of those who receive.
   */
  tryReceive(): T | undefined {
    this.#attend();
    const n = this.#take();
    return n === NOT_NOW || n === ENDED ? undefined : this.#value(n, 0);
  }

  /**
   * {@link receive} without blocking: the event loop goes on, and is kept alive, while it waits.
   *
   * @param options `timeout` in milliseconds, `signal`
   * @throws (as a rejection) as {@link receive}, ERR_HEAP_ABORTED, ERR_HEAP_UNSUPPORTED
   */
  async receiveAsync(options?: QueueAsyncOptions): Promise<T | undefined> {
    const { timeout, signal } = checkAsyncOptions(options);
    throwIfAborted(signal);
    this.#attend();
    let n = this.#take();
    // Setting up a wait of the event loop takes longer than these looks.
    if (n === NOT_NOW && timeout > 0 && spinUntil(this.#ring, this.#mayTake)) n = this.#take();
    if (n !== NOT_NOW || timeout === 0) {
      const value = n === ENDED ? undefined : this.#value(n, timeout);
      // After the value was read: another call may use the buffers during the turn.
      if (this.#turns.due()) await this.#turns.take();
      return value;
    }
    // The value is read where it was taken, for the same reason.
    let read: () => T | undefined = () => undefined;
    const attempt = () => {
      const taken = this.#take();
      if (taken >= 0) read = this.#reader(taken);
      return taken;
    };
    const end = now() + timeout;
    const result = await waitForAsync(this.#ring, RECEIVE_WAIT, attempt, this.#mayTake, end, signal);
    this.#turns.waited();
    if (result >= 0 || result === ENDED) return read();
    throw this.#failure(result, timeout);
  }

  /**
   * Receives the next message's bytes into memory of the caller: no object is made. With the codec `'bytes'` they are the
   * value, with others the value's encoded form.
   *
   * @param target where they go, from index 0; may be shared memory
   * @param options `timeout` in milliseconds
   * @returns number of bytes; -1 when the queue is closed and everything was received
   * @throws ERR_HEAP_OUT_OF_BOUNDS when the message is longer than the target: it stays the first; ERR_HEAP_BAD_ARGUMENT;
   *   otherwise as {@link receive}. The queue's thread; blocks.
   */
  receiveInto(target: Uint8Array, options?: QueueWaitOptions): number {
    const timeout = options === undefined ? Number.POSITIVE_INFINITY : checkWaitOptions(options);
    requireTarget(target);
    this.#attend();
    let n = this.#takeInto(target);
    if (n === NOT_NOW) n = this.#receiveWaiting(() => this.#takeInto(target), timeout);
    if (n >= 0) return n;
    if (n === ENDED) return -1;
    throw intoError(this.name, this.#ring, n, target, timeout);
  }

  /**
   * {@link receiveInto} without waiting.
   *
   * @returns number of bytes; -1 when there is no message now; {@link ended} tells whether there will be any
   */
  tryReceiveInto(target: Uint8Array): number {
    requireTarget(target);
    this.#attend();
    const n = this.#takeInto(target);
    if (n >= 0) return n;
    if (n === ENDED || n === NOT_NOW) return -1;
    throw intoError(this.name, this.#ring, n, target, 0);
  }

  /**
   * The values to come, until the queue is closed and everything was received: `for await (const value of queue)`. Several
   * loops, in this thread or others, share the messages.
   */
  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return this.messages();
  }

  /** The same with options; `timeout` is for each value. */
  async *messages(options?: QueueAsyncOptions): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const value = await this.receiveAsync(options);
      if (value === undefined) return;
      yield value;
    }
  }

  /**
   * Closes the queue for all threads: from now on sending fails with ERR_HEAP_CLOSED; what was sent is received, then
   * receiving yields undefined. Everybody who waits is woken. Calling it again does nothing.
   *
   * @throws ERR_HEAP_LOCK_STALLED, ERR_HEAP_CLOSED (the heap). The queue's thread; waits for the lock of those who send;
   *   when its holder is gone, the queue is closed all the same.
   */
  close(): void {
    if (this.#ring.close() !== PUT) throw this.#ring.refusal();
  }

  /**
   * What is wrong with the queue, a sentence each; empty when nothing is. Changes nothing. The queue's thread, while nobody
   * sends or receives; does not block.
   */
  verify(): string[] {
    return this.#ring.verify();
  }

  /** Answers participants that ask for a buffer; one comparison when nobody does. */
  #attend(): void {
    const dsm = this.#listener;
    if (dsm !== null && dsm.control[ATTENTION] !== dsm.attentionSeen && !dsm.participant.closed) dsm.attend();
  }

  #pack(value: T): number {
    this.#attend();
    const n = this.#packer.pack(value);
    if (n > this.#ring.capacity - HEADER_BYTES) throw tooLong(this.name, this.#ring, n);
    return n;
  }

  #sendWaiting(n: number, timeout: number): number {
    const ring = this.#ring;
    const { packed } = this.#packer;
    const room = () => ring.hasRoom(n);
    if (timeout === 0) return NOT_NOW;
    const end = now() + timeout;
    if (spinUntil(ring, room)) {
      const result = ring.put(packed, n);
      if (result !== NOT_NOW) return result;
    }
    return waitFor(ring, SEND_WAIT, () => ring.put(packed, n), room, end);
  }

  #receiveWaiting(take: () => number, timeout: number): number {
    if (timeout === 0) return NOT_NOW;
    const end = now() + timeout;
    if (spinUntil(this.#ring, this.#mayTake)) {
      const n = take();
      if (n !== NOT_NOW) return n;
    }
    return waitFor(this.#ring, RECEIVE_WAIT, take, this.#mayTake, end);
  }

  /** Takes a message into the ring's small piece or the scratch, which grows if it must. Throws nothing. */
  #take(): number {
    for (;;) {
      const scratch = this.#scratch;
      const n = this.#ring.take(scratch, Math.max(SMALL, scratch.length));
      if (n !== TOO_SMALL) return n;
      try {
        this.#scratch = reserve(this.#ring.needed);
      } catch (error) {
        this.#refused = error;
        return TOO_SMALL;
      }
    }
  }

  #takeInto(target: Uint8Array): number {
    const n = this.#ring.take(target, target.length);
    if (n >= 0 && n <= SMALL) target.set(this.#ring.smallParts[n]!);
    return n;
  }

  /** The value of a message that was just taken. */
  #value(n: number, timeout: number): T {
    if (n < 0) throw this.#failure(n, timeout);
    if (n <= SMALL) return this.#packer.unpack(this.#ring.smallParts[n]!) as T;
    // Messages of a queue are often equally long: making a view takes 30 ns.
    if (this.#part.length !== n || this.#part.buffer !== this.#scratch.buffer)
      this.#part = this.#scratch.subarray(0, n);
    const bytes = this.#part;
    if (n > KEPT_BYTES) {
      this.#scratch = NOTHING;
      this.#part = NOTHING;
    }
    return this.#packer.unpack(bytes) as T;
  }

  /** Reads the value now, and gives it, or throws what the codec threw, later. */
  #reader(n: number): () => T {
    try {
      const value = this.#value(n, 0);
      return () => value;
    } catch (error) {
      return () => {
        throw error;
      };
    }
  }

  #failure(result: number, timeout: number): unknown {
    return result === TOO_SMALL ? this.#refused : receiveError(this.name, this.#ring, result, timeout);
  }
}
