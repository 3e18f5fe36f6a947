/**
 * shm_mq: a queue of messages from one participant to one other, in a piece of shared memory (PostgreSQL,
 * storage/ipc/shm_mq.c). This file is the queue itself; MqSender and MqReceiver are its two ends.
 *
 * Stands on the participant table: sender and receiver are participants, set once each and at any time, and what the
 * table knows about their threads ends the other side's waits when one dies. No lock: see layout.ts.
 *
 * Death. A sender that dies leaves whole messages that it published; the receiver gets them, then MQ_DETACHED. What it
 * had not published is lost. A receiver that dies leaves a sender that gets MQ_DETACHED at its next step. Nothing has to
 * be repaired: each field has one writer.
 */

import { compareExchange, load, store } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { ld64, requirePlace, st64 } from '../layout/layout.js';
import { unpark } from '../platform/platform.js';
import { GENERATION, Participant } from '../sync/sync.js';
import {
  BYTES_READ,
  BYTES_WRITTEN,
  DETACHED,
  MAX_MQ_SIZE,
  MINIMUM_MQ_SIZE,
  MQ_HEADER_BYTES,
  MQ_MAGIC,
  MqControl,
  RECEIVER_WAIT,
  SENDER_WAIT,
} from './layout.js';

const MAGIC = MqControl.magic / 4;
const RING_SIZE = MqControl.ring_size / 4;
const LOW_HALF = 0xffffffffn;

/** The participant that a field of the queue names. */
export interface MqParty {
  readonly slot: number;
  readonly generation: number;
}

function requireParticipant(p: unknown): asserts p is Participant {
  if (!(p instanceof Participant)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a participant is needed', { hint: 'Pass dsm.participant.' });
  }
  if (p.closed) throw new SharedHeapError('ERR_HEAP_CLOSED', 'the participant has left');
}

/** This thread's handle of a queue. Any thread may have one; only sender and receiver pass messages. */
export class MessageQueue {
  /** Words of the memory. @internal */
  readonly a: Int32Array;
  /** Word index of the queue in it. @internal */
  readonly word: number;
  /** Sender and receiver as 64-bit fields. @internal */
  readonly parties: BigInt64Array;
  /** The ring's bytes. @internal */
  readonly ring: Uint8Array;
  /** Word index of the ring in the memory. @internal */
  readonly ringWord: number;
  /** Bytes of the ring, a multiple of 8. */
  readonly ringSize: number;

  private constructor(a: Int32Array, byteOffset: number, ringSize: number) {
    const { buffer } = a;
    const start = a.byteOffset + byteOffset;
    this.a = a;
    this.word = byteOffset / 4;
    this.parties = new BigInt64Array(buffer, start, MQ_HEADER_BYTES / 8);
    this.ring = new Uint8Array(buffer, start + MQ_HEADER_BYTES, ringSize);
    this.ringWord = (byteOffset + MQ_HEADER_BYTES) / 4;
    this.ringSize = ringSize;
  }

  /** Smallest queue in bytes: 64. Follows shm_mq_minimum_size. */
  static readonly minimumSize = MINIMUM_MQ_SIZE;

  /**
   * Makes an empty queue. Before others know of it; does not block. Follows shm_mq_create.
   *
   * @param a words of the memory
   * @param byteOffset where the queue starts in it, a multiple of 8
   * @param size bytes, 64 .. 2^31; rounded down to a multiple of 8; 56 of them are not part of the ring
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_SIZE
   */
  static create(a: Int32Array, byteOffset: number, size: number): MessageQueue {
    requirePlace(a, byteOffset, size, 'a message queue');
    if (size < MINIMUM_MQ_SIZE || size > MAX_MQ_SIZE) {
      throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the size of a message queue is not acceptable', {
        detail: `${size} bytes; want ${MINIMUM_MQ_SIZE} to ${MAX_MQ_SIZE}`,
      });
    }
    const ringSize = Math.floor(size / 8) * 8 - MQ_HEADER_BYTES;
    const word = byteOffset / 4;
    a.fill(0, word, word + MQ_HEADER_BYTES / 4);
    st64(a, word + RING_SIZE, ringSize);
    a[word + MAGIC] = MQ_MAGIC;
    return new MessageQueue(a, byteOffset, ringSize);
  }

  /**
   * Opens a queue that another thread has made. Any thread; does not block.
   *
   * @param a words of the memory
   * @param byteOffset where the queue starts in it
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CORRUPT when there is no queue
   */
  static open(a: Int32Array, byteOffset: number): MessageQueue {
    requirePlace(a, byteOffset, MQ_HEADER_BYTES, 'a message queue');
    const word = byteOffset / 4;
    const ringSize = ld64(a, word + RING_SIZE);
    const end = byteOffset + MQ_HEADER_BYTES + ringSize;
    if (a[word + MAGIC] !== MQ_MAGIC || ringSize % 8 !== 0 || ringSize < 8 || end > a.byteLength) {
      throw new SharedHeapError('ERR_HEAP_CORRUPT', 'there is no message queue here', {
        detail: `at byte ${byteOffset}: mark ${a[word + MAGIC]}, ring of ${ringSize} bytes`,
        hint: 'Make it with MessageQueue.create() before its place is told to others.',
      });
    }
    return new MessageQueue(a, byteOffset, ringSize);
  }

  /**
   * Makes `p` the sender, once and for good, and wakes a receiver that waits for one. The thread of `p`, or one that
   * acts for it; does not block. Follows shm_mq_set_sender.
   *
   * @throws ERR_HEAP_BAD_ARGUMENT when there is a sender already, ERR_HEAP_CLOSED
   */
  setSender(p: Participant): void {
    this.#set(MqControl.sender / 8, p, 'sender');
    this.wake(RECEIVER_WAIT);
  }

  /** {@link setSender} for the receiver. Follows shm_mq_set_receiver. */
  setReceiver(p: Participant): void {
    this.#set(MqControl.receiver / 8, p, 'receiver');
    this.wake(SENDER_WAIT);
  }

  #set(field: number, p: Participant, role: string): void {
    requireParticipant(p);
    const me = BigInt.asIntN(64, (BigInt(p.generation) << 32n) | BigInt(p.id));
    if (compareExchange(this.parties, field, 0n, me) !== 0n) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `the queue has a ${role} already`, {
        detail: `participant ${this.#party(field)?.slot}`,
        hint: 'A queue has one sender and one receiver for its whole life. Make another queue.',
      });
    }
  }

  /** The sender; null until it is set. Any thread; does not block. Follows shm_mq_get_sender. */
  get sender(): MqParty | null {
    return this.#party(MqControl.sender / 8);
  }

  /** The receiver; null until it is set. Any thread; does not block. Follows shm_mq_get_receiver. */
  get receiver(): MqParty | null {
    return this.#party(MqControl.receiver / 8);
  }

  #party(field: number): MqParty | null {
    const id = load(this.parties, field);
    return id === 0n ? null : { slot: Number(id & LOW_HALF) - 1, generation: Number(id >> 32n) };
  }

  /** True once either side, or anybody else, has ended the queue. Any thread; does not block. */
  get detached(): boolean {
    return load(this.a, this.word + DETACHED) !== 0;
  }

  /**
   * Ends the queue: the sender gets MQ_DETACHED, the receiver too after what was published. Any thread, so that a third
   * one can end the waits of both; does not block. Follows shm_mq_detach_internal.
   */
  detach(): void {
    store(this.a, this.word + DETACHED, 1);
    this.wake(SENDER_WAIT);
    this.wake(RECEIVER_WAIT);
  }

  /** Wakes the side that waits on this word, if it waits. @internal */
  wake(wait: number): void {
    if (load(this.a, this.word + wait) === 0) return;
    store(this.a, this.word + wait, 0);
    unpark(this.a, this.word + wait);
  }

  /** Whether the participant is one that `p` can know to be gone. @internal */
  static isGone(p: Participant, party: MqParty): boolean {
    if (party.slot < 0 || party.slot >= p.peers.highWater()) return true;
    if (load(p.control, p.peers.slotBase(party.slot) + GENERATION) !== party.generation) return true;
    return p.peers.isAlive(party.slot) === false;
  }

  /**
   * What is wrong with the queue, a sentence each; empty when nothing is. Changes nothing. Any thread, while neither
   * side is at work; does not block.
   */
  verify(): string[] {
    const read = ld64(this.a, this.word + BYTES_READ);
    const written = ld64(this.a, this.word + BYTES_WRITTEN);
    const problems: string[] = [];
    if (read % 8 !== 0 || written % 8 !== 0) problems.push(`${read} read or ${written} written is no multiple of 8`);
    if (read > written) problems.push(`${read} bytes read, only ${written} written`);
    if (written > read + this.ringSize) problems.push(`${written - read} bytes in a ring of ${this.ringSize}`);
    return problems;
  }
}
