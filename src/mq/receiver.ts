/**
 * The receiving end of a message queue.
 *
 * A message that lies in one piece is not copied: the result leads into the ring, and its room is given back by a later
 * receive. One that wraps around, or is larger than what arrives at once, is put together in a private buffer. `read` is
 * what the sender knows to be free again, `consumed` what will be: it is published when it is more than a quarter of
 * the ring, or before waiting, so that the sender's cache line is not touched for every small message.
 *
 * Killed anywhere: the sender finds out. A message that was handed out but not yet given back is gone with the thread.
 */

import { load, store } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { ld64 } from '../layout/layout.js';
import type { Participant } from '../sync/sync.js';
import { BYTES_READ, BYTES_WRITTEN, MAX_MQ_MESSAGE, SENDER_WAIT } from './layout.js';
import type { MessageQueue, MqParty } from './queue.js';
import {
  MQ_DETACHED,
  MQ_SUCCESS,
  MQ_WOULD_BLOCK,
  type MqAttachOptions,
  type MqResult,
  MqSide,
  type MqWaitOptions,
} from './side.js';

/** Bytes up to which a loop copies faster than `set`, which needs a view of the part first. */
const COPY_BY_HAND = 12;
/** Smallest private buffer. Lower: grown again and again; higher: memory for nothing. */
const LEAST_BUFFER = 256;
const TWO_32 = 2 ** 32;

const up8 = (n: number): number => Math.ceil(n / 8) * 8;

/** Receives messages; made by {@link MqReceiver.attach}. */
export class MqReceiver extends MqSide {
  #read: number;
  #consumed = 0;
  /** Bytes that are there to be read. */
  #available = 0;
  /** Where the next byte to read lies in the ring. */
  #at: number;
  /** Length of the message under way, -1 before it is known; and how much of it is in the buffer. */
  #expected = -1;
  #partial = 0;
  #buffer = new Uint8Array(0);
  #bytes: Uint8Array;
  #offset = 0;
  #length = 0;

  private constructor(queue: MessageQueue, p: Participant, options: MqAttachOptions) {
    super(queue, p, false, options);
    this.#read = ld64(queue.a, queue.word + BYTES_READ);
    this.#at = this.#read % queue.ringSize;
    this.#bytes = this.#buffer;
  }

  /**
   * Attaches the receiver to its queue. The participant's thread; does not block. Follows shm_mq_attach.
   *
   * @param queue with `p` set as its receiver
   * @throws ERR_HEAP_BAD_ARGUMENT when it is not, ERR_HEAP_BAD_OPTION, ERR_HEAP_CLOSED when `segment` is detached
   */
  static attach(queue: MessageQueue, p: Participant, options: MqAttachOptions = {}): MqReceiver {
    return new MqReceiver(queue, p, options);
  }

  /**
   * The message received last, as a view that is valid until the next receive: of the ring itself where the message lay
   * in one piece, so later it shows other messages. Copy with `slice()` to keep it.
   */
  get message(): Uint8Array {
    return this.#bytes.subarray(this.#offset, this.#offset + this.#length);
  }

  /** Memory of the message received last, without making a view: it lies at {@link offset}. As long valid as {@link message}. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Index in {@link bytes} of the first byte of the message received last. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes of the message received last. */
  get length(): number {
    return this.#length;
  }

  /** Tells whether the message received last was not copied. */
  get inRing(): boolean {
    return this.#bytes === this.queue.ring;
  }

  protected counterparty(): MqParty | null {
    return this.queue.sender;
  }

  /**
   * Receives the next message, waiting for it if need be; it is then in {@link message}. The participant's thread;
   * blocks. Follows shm_mq_receive.
   *
   * @returns MQ_SUCCESS; MQ_DETACHED when the sender has left or is gone and everything it published was received;
   *   MQ_WOULD_BLOCK when the time is over
   * @throws ERR_HEAP_BAD_OPTION, ERR_HEAP_CLOSED, ERR_HEAP_CORRUPT, ERR_HEAP_HOST_LIMIT (no memory to put the message
   *   together; it can be tried again), ERR_HEAP_WOULD_BLOCK where threads must not be parked
   */
  receive(options?: MqWaitOptions): MqResult {
    this.open();
    return this.block(this.#step, options);
  }

  /** {@link receive} without waiting: MQ_WOULD_BLOCK when no whole message is there. Does not block. */
  tryReceive(): MqResult {
    this.open();
    return this.#step();
  }

  /** {@link receive} without blocking the event loop; keeps it alive. Rejects with ERR_HEAP_ABORTED when its signal is. */
  async receiveAsync(options?: MqWaitOptions): Promise<MqResult> {
    this.open();
    return this.blockAsync(this.#step, options);
  }

  readonly #step = (): MqResult => {
    if (this.#consumed > this.queue.ringSize / 4) this.publish();
    for (;;) {
      if (this.#take()) return MQ_SUCCESS;
      if (this.#refresh()) continue;
      const over = this.isOver();
      // A last message may have been published before the end was declared: look once more.
      if (over && this.#refresh()) continue;
      if (over) return MQ_DETACHED;
      this.publish();
      return MQ_WOULD_BLOCK;
    }
  };

  /** Reads the sender's counter; true when there are more bytes than before. */
  #refresh(): boolean {
    const { a, word, ringSize } = this.queue;
    const before = this.#available;
    const available = (load(a, word + BYTES_WRITTEN) - ((this.#read + this.#consumed) | 0)) >>> 0;
    if (available > ringSize || available < before) throw this.#damaged(`${available} bytes to read`);
    this.#available = available;
    return available !== before;
  }

  /** Takes the message, or what can be taken of it, out of what is available; true when it is complete. */
  #take(): boolean {
    const { ringSize } = this.queue;
    if (this.#expected < 0) {
      if (this.#available < 8) return false;
      const length = this.#readLength();
      const need = 8 + up8(length);
      if (this.#available >= need && ringSize - this.#at >= need) {
        this.#deliver(this.queue.ring, this.#at + 8, length);
        this.#consume(need);
        return true;
      }
      this.#expected = length;
      this.#consume(8);
    }
    return this.#takePayload(this.#expected);
  }

  #takePayload(length: number): boolean {
    const { ring, ringSize } = this.queue;
    for (;;) {
      const rest = length - this.#partial;
      const here = Math.min(this.#available, ringSize - this.#at);
      if (this.#partial === 0 && here >= rest) {
        this.#deliver(ring, this.#at, length);
        this.#consume(up8(length));
        break;
      }
      // Less than the rest is worth taking only at the end of the ring.
      if (here < rest && here < ringSize - this.#at) return false;
      const n = Math.min(here, rest);
      const buffer = this.#ensure(length);
      copyOut(ring, this.#at, buffer, this.#partial, n);
      this.#partial += n;
      this.#consume(up8(n));
      if (this.#partial < length) continue;
      this.#deliver(buffer, 0, length);
      break;
    }
    this.#expected = -1;
    this.#partial = 0;
    return true;
  }

  #readLength(): number {
    const { a, ringWord } = this.queue;
    const length = ld64(a, ringWord + this.#at / 4);
    if (length > MAX_MQ_MESSAGE) throw this.#damaged(`a message of ${length} bytes`);
    return length;
  }

  #deliver(bytes: Uint8Array, offset: number, length: number): void {
    this.#bytes = bytes;
    this.#offset = offset;
    this.#length = length;
  }

  #consume(n: number): void {
    this.#consumed += n;
    this.#available -= n;
    const at = this.#at + n;
    this.#at = at === this.queue.ringSize ? 0 : at;
  }

  /** The private buffer, large enough: powers of two, so that growing messages do not copy each time. */
  #ensure(length: number): Uint8Array {
    if (this.#buffer.length >= length) return this.#buffer;
    let capacity = LEAST_BUFFER;
    while (capacity < length) capacity *= 2;
    try {
      this.#buffer = new Uint8Array(Math.min(capacity, MAX_MQ_MESSAGE));
    } catch (cause) {
      throw new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine refused a buffer for a message', {
        detail: `${length} bytes`,
        cause,
      });
    }
    return this.#buffer;
  }

  protected publish(): void {
    if (this.#consumed === 0) return;
    const { a, word } = this.queue;
    const read = this.#read + this.#consumed;
    a[word + BYTES_READ + 1] = Math.floor(read / TWO_32);
    store(a, word + BYTES_READ, read | 0);
    this.#read = read;
    this.#consumed = 0;
    this.queue.wake(SENDER_WAIT);
  }

  #damaged(what: string): SharedHeapError {
    return new SharedHeapError('ERR_HEAP_CORRUPT', 'a message queue is damaged', {
      detail: `${what} at byte ${this.#read + this.#consumed}, ring of ${this.queue.ringSize}`,
      pgMessage: 'invalid message size in shared memory queue',
    });
  }
}

function copyOut(ring: Uint8Array, from: number, to: Uint8Array, at: number, n: number): void {
  if (n > COPY_BY_HAND) to.set(ring.subarray(from, from + n), at);
  else for (let i = 0; i < n; i++) to[at + i] = ring[from + i]!;
}
