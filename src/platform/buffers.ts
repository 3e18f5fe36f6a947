/**
 * Hands the buffers of segments from thread to thread, while any of them may be blocked.
 *
 * Stands on a BroadcastChannel that is read in two ways: by the event loop, as usual, and synchronously by
 * `receiveMessageOnPort`, so that a thread that never returns to its event loop takes up what was announced the moment
 * that it needs it. No lock. A table belongs to one participant and is touched by its thread only. What threads have
 * in common is the attention word (control memory; added to by anyone, read by all, atomic): it counts messages that
 * others should look at before they next wait or work.
 *
 *   segment  a new buffer, sent once to everybody by its creator
 *   want     somebody met a handle that it has no buffer for: it joined later than the announcement
 *   answer   the buffer for a want, also sent to everybody, which spares the others from answering
 *   gone     the segment was destroyed: forget the buffer. Memory returns when every table and queue has forgotten it
 *   sweep    buffers of destroyed segments may be left in tables, since whoever destroyed them died at it: look
 *
 * A message lies in all queues before `postMessage` returns, and the attention word is added to after that. So whoever
 * sees the new count finds the message. Two orders can't be relied on: messages of different senders may arrive in
 * different orders, and a creator announces a segment before it is entered in the control memory, a destroyer says
 * `gone` before it is taken out. Therefore what arrives is kept first, and is looked at once more when
 * {@link CONFIRM_AFTER_MS} have passed: if the control memory does not know the segment then, the buffer goes.
 */

import { add, load } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { builtin, now, runtimeName } from './host.js';
import { park } from './park.js';

/**
 * Age at which a buffer is checked against the control memory. It covers the time between an announcement and the
 * entry, which one thread spends in one critical section. Lower: a creator that the system pauses there loses its
 * announcement, and others have to ask for the buffer. Higher: the buffer of a creator that died there stays longer.
 */
export const CONFIRM_AFTER_MS = 1000;

/** First pause while waiting for an answer. Lower: the processor is kept from the thread that is to answer. Higher: a quick answer is seen late. */
const FIRST_SLICE_MS = 0.1;
/** Longest such pause, and the beat at which sleepers are woken again. Lower: busier; higher: answers are seen late. */
const LONGEST_SLICE_MS = 10;

type Message =
  | { readonly t: 'segment' | 'answer'; readonly handle: number; readonly buffer: SharedArrayBuffer }
  | { readonly t: 'want' | 'gone'; readonly handle: number }
  | { readonly t: 'sweep' };

interface Channel {
  addEventListener(type: 'message', listener: (event: { readonly data: Message }) => void): void;
  postMessage(message: Message): void;
  close(): void;
  unref(): void;
}

interface WorkerThreads {
  readonly BroadcastChannel?: new (name: string) => Channel;
  receiveMessageOnPort?(port: Channel): { readonly message: Message } | undefined;
}

/** What an exchange needs to know; see {@link BufferExchange}. */
export interface BufferExchangeOptions {
  /** Name of the channel; the same for all participants of a heap, and of no other heap in the process. */
  readonly name: string;
  /** Memory that holds the attention word. */
  readonly attention: Int32Array;
  /** Index of the attention word, in elements. */
  readonly attentionIndex: number;
  /** Buffers that are known from the start: what came with the handle of the heap. */
  readonly known: Iterable<readonly [number, SharedArrayBuffer]>;
  /** Milliseconds that {@link BufferExchange.request} waits at most. */
  readonly attachTimeout: number;
  /** Wakes every thread that is parked on something of this heap, so that it attends. Must not block or throw. */
  readonly wakeAll: () => void;
  /** Tells whether the control memory knows the segment. Must not lock or throw: it is also asked inside wait loops. */
  readonly isLive: (handle: number) => boolean;
}

/** Exchanges of this thread by channel: a thread that waits for itself would wait in vain, so it looks here first. */
const exchangesHere = new Map<string, Set<BufferExchange>>();

/**
 * Tells whether buffers can be exchanged here: only on Node, where a BroadcastChannel can be read synchronously.
 * Any thread; does not block.
 *
 * @returns true, or the reason why not
 */
export function buffersSupported(): true | string {
  // By name, not by feature: Bun and Deno have the functions too, but do not promise what is built on them here.
  if (!runtimeName().startsWith('node '))
    return `${runtimeName()} does not promise to read a BroadcastChannel synchronously`;
  const threads = builtin('node:worker_threads') as WorkerThreads | undefined;
  if (threads?.BroadcastChannel === undefined || threads.receiveMessageOnPort === undefined) {
    return 'node:worker_threads lacks BroadcastChannel or receiveMessageOnPort';
  }
  return true;
}

/**
 * One participant's table of segment buffers, and its end of the channel. Used by one thread. It never keeps a process
 * alive. Made by a thread that {@link buffersSupported} said true to.
 */
export class BufferExchange {
  readonly #options: BufferExchangeOptions;
  readonly #channel: Channel;
  readonly #receive: (port: Channel) => { readonly message: Message } | undefined;
  readonly #segments = new Map<number, SharedArrayBuffer>();
  /** Handles that have to be checked against the control memory, in order of the time when that is due. */
  readonly #unconfirmed = new Map<number, number>();
  /** A word of this object alone, on which pauses are made: nobody wakes it. */
  readonly #pause = new Int32Array(new SharedArrayBuffer(4));
  #attentionSeen: number;
  #closed = false;

  /**
   * Opens the channel. Any thread; does not block.
   *
   * @throws ERR_HEAP_UNSUPPORTED where {@link buffersSupported} gives a reason
   */
  constructor(options: BufferExchangeOptions) {
    const support = buffersSupported();
    if (support !== true) {
      throw new SharedHeapError('ERR_HEAP_UNSUPPORTED', 'buffers cannot be exchanged between threads here', {
        detail: support,
        hint: "use the store 'region'",
      });
    }
    const { BroadcastChannel, receiveMessageOnPort } = builtin('node:worker_threads') as Required<WorkerThreads>;
    this.#options = options;
    this.#receive = receiveMessageOnPort;
    this.#attentionSeen = load(options.attention, options.attentionIndex);
    this.#channel = new BroadcastChannel(options.name);
    this.#channel.addEventListener('message', (event) => this.#drain(event.data));
    this.#channel.unref();
    const here = exchangesHere.get(options.name) ?? new Set();
    exchangesHere.set(options.name, here.add(this));
    // The channel is open, so from here on no `gone` is missed. One that came between the reading of the heap's
    // handle and now was missed: hence these are checked as well.
    for (const [handle, buffer] of options.known) this.#keep(handle, buffer);
  }

  /** Value of the attention word when this participant last looked at its messages: attend when it differs. */
  get attentionSeen(): number {
    return this.#attentionSeen;
  }

  /**
   * Makes a new segment known to everybody. Does not block; 10-20 µs and a little for each participant.
   *
   * @throws ERR_HEAP_CLOSED
   */
  announce(handle: number, buffer: SharedArrayBuffer): void {
    this.#requireOpen();
    this.#segments.set(handle, buffer);
    this.#unconfirmed.delete(handle);
    this.#channel.postMessage({ t: 'segment', handle, buffer });
  }

  /** Buffer of a segment if it is here or in the queue, else undefined. Does not block. */
  lookup(handle: number): SharedArrayBuffer | undefined {
    const buffer = this.#segments.get(handle);
    if (buffer !== undefined) return buffer;
    this.#drain();
    return this.#segments.get(handle);
  }

  /**
   * Asks all others for the buffer of a segment. Blocks up to `attachTimeout`, and answers others meanwhile. They
   * answer at their next heap call, in their wait loops, or from their event loop.
   *
   * @returns undefined when nobody answered in time, or when the segment is destroyed
   * @throws ERR_HEAP_CLOSED
   * @throws ERR_HEAP_WOULD_BLOCK in a thread that must not block, when no answer is there at once
   */
  request(handle: number): SharedArrayBuffer | undefined {
    this.#requireOpen();
    const found = this.lookup(handle) ?? this.#takeFromThisThread(handle);
    if (found !== undefined || !this.#options.isLive(handle)) return found;
    const end = now() + this.#options.attachTimeout;
    this.#channel.postMessage({ t: 'want', handle });
    this.#callAttention();
    this.#options.wakeAll();
    for (let slice = FIRST_SLICE_MS; ; slice = Math.min(2 * slice, LONGEST_SLICE_MS)) {
      const buffer = this.lookup(handle);
      const left = end - now();
      if (buffer !== undefined || left <= 0 || !this.#options.isLive(handle)) return buffer;
      // A thread that went to sleep between our message and our waking it has not looked: wake it again.
      if (slice === LONGEST_SLICE_MS) this.#options.wakeAll();
      park(this.#pause, 0, 0, Math.min(slice, left));
    }
  }

  /** Forgets a buffer that is neither mapped nor needed by this participant; others keep theirs. Does not block. */
  drop(handle: number): void {
    this.#segments.delete(handle);
    this.#unconfirmed.delete(handle);
  }

  /** Tells everybody that a segment was destroyed, so that its buffer is forgotten everywhere. Does not block. */
  gone(handle: number): void {
    if (this.#closed) return;
    // The announcement may still lie in the own queue, since a segment can be destroyed without ever being mapped.
    this.#drain();
    this.drop(handle);
    this.#channel.postMessage({ t: 'gone', handle });
    this.#callAttention();
  }

  /**
   * Has everybody compare its table with the control memory. For after the death of a participant, which may have
   * destroyed a segment without having told. Does not block.
   */
  sweep(): void {
    if (this.#closed) return;
    this.#sweepOwn();
    this.#channel.postMessage({ t: 'sweep' });
    this.#callAttention();
  }

  /**
   * Looks at all messages now. Call it when the attention word differs from {@link attentionSeen}, and in wait loops.
   * Does not block.
   */
  attend(): void {
    this.#drain();
  }

  /** Every buffer that is known by now, by handle: what a participant that joins later has to start with. Does not block. */
  entries(): [number, SharedArrayBuffer][] {
    this.#drain();
    return [...this.#segments];
  }

  /** Forgets all buffers and closes the channel. May be called again. Does not block. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel.close();
    this.#segments.clear();
    this.#unconfirmed.clear();
    const here = exchangesHere.get(this.#options.name);
    here?.delete(this);
    if (here?.size === 0) exchangesHere.delete(this.#options.name);
  }

  /** Works off all messages, `first` being one that the event loop took from the queue already. */
  #drain(first?: Message): void {
    if (this.#closed) return;
    // Read before the queue is: what is counted by now lies in it.
    this.#attentionSeen = load(this.#options.attention, this.#options.attentionIndex);
    const wants = new Set<number>();
    let message = first ?? this.#receive(this.#channel)?.message;
    for (; message !== undefined; message = this.#receive(this.#channel)?.message) this.#take(message, wants);
    for (const handle of wants) {
      const buffer = this.#segments.get(handle);
      if (buffer !== undefined) this.#channel.postMessage({ t: 'answer', handle, buffer });
    }
    if (this.#unconfirmed.size > 0) this.#confirm();
  }

  #take(message: Message, wants: Set<number>): void {
    switch (message.t) {
      case 'segment':
        this.#keep(message.handle, message.buffer);
        break;
      case 'answer':
        // It lies behind the want in our queue, so it does in that of whoever wanted it: no need to answer twice.
        wants.delete(message.handle);
        if (this.#options.isLive(message.handle)) this.#keep(message.handle, message.buffer);
        break;
      case 'want':
        wants.add(message.handle);
        break;
      case 'gone':
        wants.delete(message.handle);
        this.drop(message.handle);
        break;
      case 'sweep':
        this.#sweepOwn();
        break;
    }
  }

  #keep(handle: number, buffer: SharedArrayBuffer): void {
    if (this.#segments.has(handle)) return;
    this.#segments.set(handle, buffer);
    this.#unconfirmed.set(handle, now() + CONFIRM_AFTER_MS);
  }

  #confirm(): void {
    const time = now();
    for (const [handle, due] of this.#unconfirmed) {
      if (due > time) return;
      this.#unconfirmed.delete(handle);
      if (!this.#options.isLive(handle)) this.#segments.delete(handle);
    }
  }

  /** Old buffers of unknown segments go at once; young ones may not be entered yet and are left to {@link #confirm}. */
  #sweepOwn(): void {
    for (const handle of this.#segments.keys()) {
      if (!this.#unconfirmed.has(handle) && !this.#options.isLive(handle)) this.#segments.delete(handle);
    }
  }

  #takeFromThisThread(handle: number): SharedArrayBuffer | undefined {
    for (const other of exchangesHere.get(this.#options.name) ?? []) {
      if (other === this) continue;
      const buffer = other.lookup(handle);
      if (buffer === undefined) continue;
      this.#keep(handle, buffer);
      return buffer;
    }
    return undefined;
  }

  #callAttention(): void {
    add(this.#options.attention, this.#options.attentionIndex, 1);
  }

  #requireOpen(): void {
    if (!this.#closed) return;
    throw new SharedHeapError('ERR_HEAP_CLOSED', 'the exchange of buffers is closed', {
      detail: this.#options.name,
      hint: 'join the heap again',
    });
  }
}
