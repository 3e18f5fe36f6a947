/**
 * Waiting for a message, or for room: parking on a word of the queue's control.
 *
 * The word is 1 while somebody may be parked. Who changes the ring looks at it afterwards and, if it is 1, sets it to 0 and
 * wakes one; so a row of messages pays for one wake-up, not for one each. Why nobody is left asleep:
 *
 * 1. A waiter counts itself, sets the word to 1 and tries once more before it parks, which it does only while the word is
 *    1. The ring's counter and this word are sequentially consistent: either the waiter sees the change, or who made it
 *    sees the word.
 * 2. A waiter that gets up while others are counted sets the word to 1 again, before it looks at the ring: what comes
 *    after its look wakes the next. What was there besides its own is passed on by waking one more.
 *
 * Killed: a waiter that was chosen and dies before it gets that far leaves the others to the end of their slice, at most
 * 100 ms, when they look by themselves. It stays counted, which costs a vain notify now and then.
 *
 * Order. Those who wait do not stand before those who come: a newcomer may take the message, or the room, that woke
 * somebody, and a long message may be overtaken by shorter ones while it waits for room.
 */

import { add, load, store, sub } from '#atomic';
import { now, park, parkUntilAborted, throwIfAborted } from '../platform/platform.js';
import { NOT_NOW, type QueueRing } from './queue-ring.js';

/** Milliseconds that a thread is parked before it looks by itself. Lower: idle waiters wake more often; higher: see above. */
const SLICE_MS = 100;
/** The same on `buffers`, where others may want a buffer from a thread that is parked here. */
const ATTENTIVE_SLICE_MS = 10;
/** Looks at the ring before parking. Lower: threads park that would have had their turn at once; higher: they burn time. */
const LOOKS = 30;
/**
 * Polls of an own word between two looks, 5 ns each: the least, and the most. Found at the first looks, again and again,
 * the other side is at work all the time, and each look takes a cache line from it: so the pauses grow, and a look finds a
 * row of messages. Found late, somebody waits for an answer, and the pauses shrink. Lower: smaller rows; higher: a single
 * message is seen later.
 */
const SHORTEST_PAUSE = 16;
const LONGEST_PAUSE = 256;
/** Looks that count as the first, and from which on it was late. */
const EARLY = 1;
const LATE = 4;

/** Looks now and then whether `ready`; true as soon as it is. */
export function spinUntil(ring: QueueRing, ready: () => boolean): boolean {
  const { control, wakeWord } = ring.participant;
  const polls = ring.pause;
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0 && ready()) {
      if (look <= EARLY) ring.pause = Math.min(polls * 2, LONGEST_PAUSE);
      else if (look >= LATE) ring.pause = Math.max(polls / 2, SHORTEST_PAUSE);
      return true;
    }
    for (let poll = 0; poll < polls; poll++) load(control, wakeWord);
  }
  ring.pause = SHORTEST_PAUSE;
  return ready();
}

function enter(ring: QueueRing, wait: number): void {
  add(ring.control, wait + 1, 1);
  store(ring.control, wait, 1);
}

/** Gets up; tells how many others are counted. */
function getUp(ring: QueueRing, wait: number): number {
  const others = sub(ring.control, wait + 1, 1) - 1;
  if (others > 0) store(ring.control, wait, 1);
  return others;
}

/**
 * Waits until `attempt` can go on. The participant's thread; blocks.
 *
 * @param wait RECEIVE_WAIT or SEND_WAIT
 * @param attempt one try; NOT_NOW to wait further
 * @param ready whether another waiter of this side would find something
 * @param end when to give up, on this thread's clock
 * @returns what `attempt` returned last; NOT_NOW when the time is over
 * @throws ERR_HEAP_WOULD_BLOCK where threads must not be parked
 */
export function waitFor(
  ring: QueueRing,
  wait: number,
  attempt: () => number,
  ready: () => boolean,
  end: number,
): number {
  const p = ring.participant;
  const slice = p.attend === null ? SLICE_MS : ATTENTIVE_SLICE_MS;
  for (;;) {
    enter(ring, wait);
    let result = attempt();
    const left = end - now();
    let blocked: unknown = null;
    if (result === NOT_NOW && left > 0) {
      p.attend?.();
      try {
        park(ring.control, wait, 1, Math.min(left, slice));
      } catch (error) {
        blocked = error;
      }
    }
    const others = getUp(ring, wait);
    if (result === NOT_NOW && blocked === null) result = attempt();
    if (result === NOT_NOW && left > 0 && blocked === null) continue;
    if (others > 0 && ready()) ring.wakeOne(wait);
    if (blocked !== null) throw blocked;
    return result;
  }
}

/** {@link waitFor} without blocking; keeps the event loop alive. Rejects with ERR_HEAP_ABORTED. */
export async function waitForAsync(
  ring: QueueRing,
  wait: number,
  attempt: () => number,
  ready: () => boolean,
  end: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const p = ring.participant;
  for (;;) {
    enter(ring, wait);
    let result = attempt();
    const left = end - now();
    let failed: { readonly error: unknown } | null = null;
    if (result === NOT_NOW && left > 0) {
      try {
        await parkUntilAborted(ring.control, wait, 1, Math.min(left, SLICE_MS), signal);
      } catch (error) {
        failed = { error };
      }
    }
    // The heap may have been closed meanwhile; then its memory is not ours to touch, and the attempt says so.
    const others = p.closed ? 0 : getUp(ring, wait);
    const aborted = signal?.aborted === true;
    if (result === NOT_NOW && failed === null && !aborted) result = attempt();
    if (result === NOT_NOW && left > 0 && failed === null && !aborted) continue;
    if (others > 0 && ready()) ring.wakeOne(wait);
    if (failed !== null) throw failed.error;
    if (result === NOT_NOW) throwIfAborted(signal);
    return result;
  }
}

/** Results that came without waiting, after which the clock is read. */
const ROW = 64;
/** Milliseconds after which the event loop has its turn. Lower: more turns; higher: timers and sockets wait longer. */
const TURN_MS = 10;

/**
 * Turns of the event loop while results come without waiting: promises that are there already would keep it from
 * everything else. Private to one queue object.
 */
export class Turns {
  #row = 0;
  #last = now();

  /** The event loop has just had its turn. */
  waited(): void {
    this.#row = 0;
    this.#last = now();
  }

  /** One more result came at once; whether the event loop should have its turn now. */
  due(): boolean {
    if (++this.#row < ROW) return false;
    this.#row = 0;
    return now() - this.#last >= TURN_MS;
  }

  /** Lets the event loop do what else it has to do. */
  async take(): Promise<void> {
    const { setImmediate: soon } = globalThis as { setImmediate?: (f: () => void) => unknown };
    await new Promise<void>((resolve) => (soon === undefined ? setTimeout(resolve, 0) : soon(resolve)));
    this.waited();
  }
}
