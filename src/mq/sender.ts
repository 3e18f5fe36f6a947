/**
 * The sending end of a message queue.
 *
 * `position` counts the bytes put into the ring, `published` those that the receiver may see, `limit` those that there
 * was room for when the receiver's counter was last read; it is read again only when room is short. The published
 * count is a multiple of 8 at any time: it moves at the end of a message, after padding, or when the ring is full, and
 * the ring is full at a multiple of 8.
 *
 * Killed in the middle: what was published is whole or, for a message that is larger than the room, a beginning that the
 * receiver drops when it finds the sender gone.
 */

import { load, store } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { ld64 } from '../layout/layout.js';
import type { Participant } from '../sync/sync.js';
import { BYTES_READ, BYTES_WRITTEN, MAX_MQ_MESSAGE, RECEIVER_WAIT } from './layout.js';
import type { MessageQueue, MqParty } from './queue.js';
import {
  MQ_DETACHED,
  MQ_SUCCESS,
  MQ_WOULD_BLOCK,
  type MqAttachOptions,
  type MqResult,
  MqSide,
  type MqWaitOptions,
  requireOptions,
} from './side.js';

/** Bytes of a part up to which a loop copies faster than `set`, which needs a view of the part first: 2 ns a byte. */
const COPY_BY_HAND = 12;
const TWO_32 = 2 ** 32;

/** How a message is sent. */
export interface MqSendOptions extends MqWaitOptions {
  /**
   * Let the receiver see the message at once. Default true. With false it is seen when more than a quarter of the ring
   * is pending, with the next flush, or when the ring is full: fewer wake-ups for rows of small messages.
   */
  readonly flush?: boolean | undefined;
}

/** Sends messages; made by {@link MqSender.attach}. */
export class MqSender extends MqSide {
  #position: number;
  #published: number;
  #limit: number;
  /** Where `position` lies in the ring. */
  #at: number;
  /** The message under way: its pieces, and how far it is. */
  #pieces: readonly Uint8Array[] = [];
  #total = -1;
  #lengthWritten = false;
  #piece = 0;
  #offset = 0;
  #flush = true;

  private constructor(queue: MessageQueue, p: Participant, options: MqAttachOptions) {
    super(queue, p, true, options);
    this.#published = ld64(queue.a, queue.word + BYTES_WRITTEN);
    this.#position = this.#published;
    this.#limit = this.#published;
    this.#at = this.#published % queue.ringSize;
  }

  /**
   * Attaches the sender to its queue. The participant's thread; does not block. Follows shm_mq_attach.
   *
   * @param queue with `p` set as its sender
   * @throws ERR_HEAP_BAD_ARGUMENT when it is not, ERR_HEAP_BAD_OPTION, ERR_HEAP_CLOSED when `segment` is detached
   */
  static attach(queue: MessageQueue, p: Participant, options: MqAttachOptions = {}): MqSender {
    return new MqSender(queue, p, options);
  }

  /**
   * Tells whether a message was begun but not finished, after MQ_WOULD_BLOCK. It must be sent again, with the same bytes,
   * or the end be left.
   */
  get midMessage(): boolean {
    return this.#total >= 0;
  }

  protected counterparty(): MqParty | null {
    return this.queue.receiver;
  }

  /**
   * Sends a message, waiting for room if need be. The participant's thread; blocks. Follows shm_mq_send.
   *
   * @param message its bytes, at most 2^30 - 1; copied
   * @returns MQ_SUCCESS, MQ_DETACHED when the receiver has left or is gone, MQ_WOULD_BLOCK when the time is over: then it
   *   must be repeated with the same message, see {@link midMessage}
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_SIZE, ERR_HEAP_BAD_OPTION, ERR_HEAP_CLOSED, ERR_HEAP_WOULD_BLOCK where
   *   threads must not be parked
   */
  send(message: Uint8Array, options?: MqSendOptions): MqResult {
    return this.sendv([message], options);
  }

  /** {@link send} for a message in pieces, which are gathered without a copy in between. Follows shm_mq_sendv. */
  sendv(pieces: readonly Uint8Array[], options?: MqSendOptions): MqResult {
    this.#begin(pieces, options);
    return this.block(this.#step, options);
  }

  /** {@link send} without waiting: MQ_WOULD_BLOCK when there is no room now. Does not block. */
  trySend(message: Uint8Array, flush = true): MqResult {
    this.#begin([message], flush ? undefined : { flush });
    return this.#step();
  }

  /** {@link send} without blocking the event loop; keeps it alive. Rejects with ERR_HEAP_ABORTED when its signal is. */
  async sendAsync(message: Uint8Array, options?: MqSendOptions): Promise<MqResult> {
    return this.sendvAsync([message], options);
  }

  /** {@link sendAsync} for a message in pieces. */
  async sendvAsync(pieces: readonly Uint8Array[], options?: MqSendOptions): Promise<MqResult> {
    this.#begin(pieces, options);
    return this.blockAsync(this.#step, options);
  }

  /** Lets the receiver see everything that was sent with `flush: false`. The participant's thread; does not block. */
  flush(): void {
    this.open();
    if (this.#total >= 0) return;
    this.publish();
  }

  #begin(pieces: readonly Uint8Array[], options: MqSendOptions | undefined): void {
    this.open();
    requireOptions(options);
    const flush = options?.flush ?? true;
    if (typeof flush !== 'boolean') {
      throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'option flush is not acceptable', {
        detail: `got ${typeof flush}, want true or false`,
      });
    }
    const total = totalOf(pieces);
    if (this.#total >= 0 && this.#total !== total) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'another message is half sent', {
        detail: `${this.#total} bytes were begun, now ${total} are given`,
        hint: 'After MQ_WOULD_BLOCK the same message must be sent again, or the queue be left with detach().',
      });
    }
    this.#pieces = pieces;
    this.#total = total;
    this.#flush = flush;
  }

  readonly #step = (): MqResult => {
    const result = this.#advance();
    if (result === MQ_WOULD_BLOCK) {
      this.publish();
      if (!this.isOver()) return MQ_WOULD_BLOCK;
    } else if (result === MQ_SUCCESS) {
      this.#forget();
      // Also when everything was written: nobody will read it.
      if (!this.queue.detached) {
        if (this.#flush || this.#position - this.#published > this.queue.ringSize / 4) this.publish();
        return MQ_SUCCESS;
      }
    }
    this.#forget();
    return MQ_DETACHED;
  };

  #forget(): void {
    this.#pieces = [];
    this.#total = -1;
    this.#lengthWritten = false;
    this.#piece = 0;
    this.#offset = 0;
  }

  /** Writes as much of the message as there is room for. */
  #advance(): MqResult {
    if (this.queue.detached) return MQ_DETACHED;
    if (!this.#lengthWritten) {
      if (this.#room(8) < 8) return MQ_WOULD_BLOCK;
      const { a, ringWord } = this.queue;
      const header = ringWord + this.#at / 4;
      a[header] = this.#total;
      a[header + 1] = 0;
      this.#moveBy(8);
      this.#lengthWritten = true;
    }
    while (this.#piece < this.#pieces.length) {
      const piece = this.#pieces[this.#piece]!;
      while (this.#offset < piece.length) {
        const written = this.#write(piece, this.#offset);
        if (written === 0) return MQ_WOULD_BLOCK;
        this.#offset += written;
      }
      this.#piece++;
      this.#offset = 0;
    }
    // There is room for the padding: room ends at a multiple of 8.
    const over = this.#position % 8;
    if (over !== 0) this.#moveBy(8 - over);
    return MQ_SUCCESS;
  }

  /** Free bytes in the ring; the receiver's counter is read again only if they are fewer than `wanted`. */
  #room(wanted: number): number {
    if (this.#limit - this.#position < wanted) {
      const { a, word, ringSize } = this.queue;
      const unread = ((this.#published | 0) - load(a, word + BYTES_READ)) >>> 0;
      if (unread > ringSize) throw this.#damaged(unread);
      this.#limit = this.#published - unread + ringSize;
    }
    return this.#limit - this.#position;
  }

  /** Copies what fits of the rest of a piece, up to the end of the ring; returns how much. */
  #write(piece: Uint8Array, from: number): number {
    const { ring, ringSize } = this.queue;
    const at = this.#at;
    const rest = piece.length - from;
    const n = Math.min(this.#room(rest), rest, ringSize - at);
    if (n === piece.length) ring.set(piece, at);
    else if (n > COPY_BY_HAND) ring.set(piece.subarray(from, from + n), at);
    else for (let i = 0; i < n; i++) ring[at + i] = piece[from + i]!;
    this.#moveBy(n);
    return n;
  }

  #moveBy(n: number): void {
    this.#position += n;
    const at = this.#at + n;
    this.#at = at === this.queue.ringSize ? 0 : at;
  }

  protected publish(): void {
    const { a, word } = this.queue;
    // A message that is left half-way may end anywhere.
    const upTo = Math.ceil(this.#position / 8) * 8;
    if (upTo === this.#published) return;
    a[word + BYTES_WRITTEN + 1] = Math.floor(upTo / TWO_32);
    store(a, word + BYTES_WRITTEN, upTo | 0);
    this.#published = upTo;
    this.queue.wake(RECEIVER_WAIT);
  }

  #damaged(unread: number): SharedHeapError {
    return new SharedHeapError('ERR_HEAP_CORRUPT', 'a message queue is damaged', {
      detail: `${unread} bytes unread in a ring of ${this.queue.ringSize}`,
    });
  }
}

function totalOf(pieces: readonly Uint8Array[]): number {
  if (!Array.isArray(pieces)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the pieces of a message are not an array');
  }
  let total = 0;
  for (const piece of pieces) {
    if (!(piece instanceof Uint8Array)) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a message is not a Uint8Array', {
        detail: `got ${piece === null ? 'null' : typeof piece}`,
        hint: 'Encode text with TextEncoder; give other views as new Uint8Array(v.buffer, v.byteOffset, v.byteLength).',
      });
    }
    total += piece.length;
  }
  if (total > MAX_MQ_MESSAGE) {
    throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the message is too long', {
      detail: `${total} bytes, at most ${MAX_MQ_MESSAGE}`,
      sqlState: '54000',
      pgMessage: `cannot send a message of size ${total} via shared memory queue`,
    });
  }
  return total;
}
