/**
 * What sender and receiver have in common: waiting, knowing the other side, leaving.
 *
 * Every call is a row of steps that do not block; a step that can't go on says MQ_WOULD_BLOCK. The waiting forms set
 * their wait word to 1, take one more step, and park only if that could not go on either: the other side changes its
 * counter first and looks at the word afterwards, so one of the two sees the other. They park for a slice at a time and
 * look then whether the other side still lives. A killed waiter leaves its word at 1, which costs the other side one
 * notify.
 *
 * A step that can't go on looks at the other side's life at most once in LOOK_MS, since that reads a file.
 */

import { load, store } from '#atomic';
import type { DsmSegment } from '../dsm/dsm.js';
import { SharedHeapError, show } from '../errors/errors.js';
import { now, park, parkUntilAborted, throwIfAborted } from '../platform/platform.js';
import type { Participant } from '../sync/sync.js';
import { BYTES_READ, BYTES_WRITTEN, DETACHED, RECEIVER_WAIT, SENDER_WAIT } from './layout.js';
import { MessageQueue, type MqParty } from './queue.js';

/** Done. PostgreSQL's SHM_MQ_SUCCESS. */
export const MQ_SUCCESS = 0;
/** Could not go on without waiting, or not in the time that was given. PostgreSQL's SHM_MQ_WOULD_BLOCK. */
export const MQ_WOULD_BLOCK = 1;
/** The other side has left, or is gone. PostgreSQL's SHM_MQ_DETACHED. */
export const MQ_DETACHED = 2;
/** Outcome of sending, receiving and waiting. */
export type MqResult = typeof MQ_SUCCESS | typeof MQ_WOULD_BLOCK | typeof MQ_DETACHED;

/**
 * Milliseconds that a thread is parked before it looks around. Lower: idle waiters wake more often; higher: a death
 * without a notice is found later.
 */
const SLICE_MS = 100;
/** The same on `buffers`, where others may want a buffer from a thread that is parked here. */
const ATTENTIVE_SLICE_MS = 10;
/** Milliseconds between two looks at the other side's life: one costs 10 µs. */
const LOOK_MS = 50;

/** How long a call may wait. */
export interface MqWaitOptions {
  /** Milliseconds, 0 or more; 0 does not wait at all. Default Infinity: until there is news or the other side is gone. */
  readonly timeout?: number | undefined;
  /** Async forms only: rejects with ERR_HEAP_ABORTED, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Tells whether a thread that has yet to attach to the queue has ended: PostgreSQL's BackgroundWorkerHandle. */
export interface MqPeer {
  /** True once it is certain that the thread has ended, or never started. Called in the waiting thread; must not block. */
  isGone(): boolean;
}

/** How a participant attaches to its end of a queue. */
export interface MqAttachOptions {
  /** Segment that the queue lies in: when it is detached here, the queue is too. */
  readonly segment?: DsmSegment | undefined;
  /** The thread that is to be the other side. Without it, a wait for one that never comes ends only with its timeout. */
  readonly peer?: MqPeer | undefined;
}

function badOption(name: string, detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_OPTION', `option ${name} is not acceptable`, { detail });
}

/** Checks that options are an object or left out. */
export function requireOptions(options: unknown): void {
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'options are not an object', {
      detail: `got ${options === null ? 'null' : typeof options}`,
    });
  }
}

/** Checked timeout: milliseconds from now on. */
function timeoutOf(options: MqWaitOptions | undefined): number {
  const timeout = options?.timeout ?? Number.POSITIVE_INFINITY;
  if (typeof timeout !== 'number' || !(timeout >= 0)) {
    throw badOption('timeout', `got ${show(timeout)}; want milliseconds, 0 or more`);
  }
  const signal = options?.signal;
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw badOption('signal', 'want an AbortSignal');
  }
  return timeout;
}

function onSegmentDetach(_segment: DsmSegment, side: MqSide): void {
  side.queue.detach();
}

/** One end of a queue, used by one participant's thread. */
export abstract class MqSide {
  /** The queue. */
  readonly queue: MessageQueue;
  /** The participant at this end. */
  readonly participant: Participant;
  readonly #segment: DsmSegment | undefined;
  readonly #peer: MqPeer | undefined;
  /** Word that this side waits on. */
  readonly #wait: number;
  /** Low word of the other side's counter. */
  readonly #news: number;
  #nextLook = 0;
  #left = false;

  /** @internal */
  protected constructor(queue: MessageQueue, p: Participant, sends: boolean, options: MqAttachOptions = {}) {
    if (!(queue instanceof MessageQueue)) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a message queue is needed', {
        hint: 'Make one with MessageQueue.create() or MessageQueue.open().',
      });
    }
    const own = sends ? queue.sender : queue.receiver;
    if (own === null || own.slot !== p?.slot || own.generation !== p.generation) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the participant is not at this end of the queue', {
        detail: `participant ${p?.slot}, ${sends ? 'sender' : 'receiver'} is ${own?.slot ?? 'not set'}`,
        hint: `Call ${sends ? 'setSender' : 'setReceiver'}() first.`,
      });
    }
    requireOptions(options);
    if (options.peer !== undefined && typeof options.peer?.isGone !== 'function') {
      throw badOption('peer', 'want an object with isGone()');
    }
    this.queue = queue;
    this.participant = p;
    this.#wait = queue.word + (sends ? SENDER_WAIT : RECEIVER_WAIT);
    this.#news = queue.word + (sends ? BYTES_READ : BYTES_WRITTEN);
    this.#peer = options.peer;
    this.#segment = options.segment;
    this.#segment?.onDetach(onSegmentDetach, this as MqSide);
  }

  /** The other participant; null until it is set. */
  protected abstract counterparty(): MqParty | null;
  /** Makes what was done so far visible. */
  protected abstract publish(): void;

  /** True when this end was left; then everything else throws ERR_HEAP_CLOSED. */
  get closed(): boolean {
    return this.#left || this.participant.closed;
  }

  /** @throws ERR_HEAP_CLOSED */
  protected open(): void {
    if (this.closed) throw new SharedHeapError('ERR_HEAP_CLOSED', 'this end of the message queue was left');
  }

  /** Whether the queue is ended, looking at the other side's life from time to time; if that is over, ends the queue. */
  protected isOver(): boolean {
    const { queue } = this;
    if (load(queue.a, queue.word + DETACHED) !== 0) return true;
    const time = now();
    if (time < this.#nextLook) return false;
    this.#nextLook = time + LOOK_MS;
    // Before the test for a counterparty: one that attaches and ends in between is found by the counter, not by this.
    const peerGone = this.#peer?.isGone() === true;
    const other = this.counterparty();
    const gone = other === null ? peerGone : MessageQueue.isGone(this.participant, other);
    if (gone) queue.detach();
    return gone;
  }

  /** Runs `step` until it can go on, parking in between. */
  protected block(step: () => MqResult, options: MqWaitOptions | undefined): MqResult {
    requireOptions(options);
    const end = now() + timeoutOf(options);
    let result = step();
    while (result === MQ_WOULD_BLOCK && now() < end) {
      const { a } = this.queue;
      this.#spin();
      store(a, this.#wait, 1);
      result = step();
      if (result === MQ_WOULD_BLOCK) {
        this.participant.attend?.();
        park(a, this.#wait, 1, Math.min(Math.max(end - now(), 0), this.#slice()));
        result = step();
      }
      store(a, this.#wait, 0);
    }
    return result;
  }

  /** {@link block} for event loops. */
  protected async blockAsync(step: () => MqResult, options: MqWaitOptions | undefined): Promise<MqResult> {
    requireOptions(options);
    const end = now() + timeoutOf(options);
    const signal = options?.signal;
    throwIfAborted(signal);
    let result = step();
    while (result === MQ_WOULD_BLOCK && now() < end) {
      const { a } = this.queue;
      store(a, this.#wait, 1);
      result = step();
      if (result === MQ_WOULD_BLOCK) {
        await parkUntilAborted(a, this.#wait, 1, Math.min(Math.max(end - now(), 0), SLICE_MS), signal);
        throwIfAborted(signal);
        this.open();
        result = step();
      }
      store(a, this.#wait, 0);
    }
    return result;
  }

  /** Polls for a moment: when the other side is at work, its news come sooner than a wake-up would. */
  #spin(): void {
    const { a } = this.queue;
    const seen = load(a, this.#news);
    for (let poll = this.participant.spin; poll > 0 && load(a, this.#news) === seen; poll--);
  }

  #slice(): number {
    return this.participant.attend === null ? SLICE_MS : ATTENTIVE_SLICE_MS;
  }

  readonly #attached = (): MqResult => {
    const known = this.counterparty() !== null;
    return known && !this.queue.detached ? MQ_SUCCESS : this.isOver() ? MQ_DETACHED : MQ_WOULD_BLOCK;
  };

  /**
   * Waits until the other side is set. The participant's thread; blocks. Follows shm_mq_wait_for_attach.
   *
   * @returns MQ_SUCCESS, MQ_DETACHED when the queue is ended or the `peer` is gone, MQ_WOULD_BLOCK when the time is over
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_BAD_OPTION, ERR_HEAP_WOULD_BLOCK where threads must not be parked
   */
  waitForAttach(options?: MqWaitOptions): MqResult {
    this.open();
    return this.block(this.#attached, options);
  }

  /** {@link waitForAttach} without blocking the event loop; keeps it alive. */
  async waitForAttachAsync(options?: MqWaitOptions): Promise<MqResult> {
    this.open();
    return this.blockAsync(this.#attached, options);
  }

  /**
   * Leaves: publishes what is pending, ends the queue, and wakes the other side. A second call does nothing. The
   * participant's thread; does not block. Follows shm_mq_detach.
   */
  detach(): void {
    if (this.#left) return;
    this.#left = true;
    this.publish();
    this.queue.detach();
    if (this.#segment?.mapped === true) this.#segment.cancelOnDetach(onSegmentDetach, this as MqSide);
  }

  /** {@link detach}, for `using`. */
  [Symbol.dispose](): void {
    this.detach();
  }
}
