/**
 * The participant table: who is attached, and taking back what the gone have left. PostgreSQL's ProcGlobal.
 *
 * Stands on the control memory that it is given and on the host's knowledge of threads. No lock: a slot is
 * claimed (0 -> me), given back (me -> 0) and adopted (dead -> me) by compare-and-exchange of its 64-bit identity, and
 * whoever stands there is its only writer. Three races, and why each is harmless:
 *
 * 1. Two joiners want one slot: the exchange lets one win. It can't succeed late, on a slot that was meanwhile given
 *    back and claimed again: a free slot holds 0, and a dead thread never comes back, so no value returns by mistake.
 * 2. An owner dies between claiming and filling in its slot, or between clearing it and giving it back: its identity
 *    stands there, so it is adopted like any other; clearing again does no harm.
 * 3. An owner is held for dead while the slot changes hands: `dead` names the thread that is gone, not the slot. It
 *    stays true whenever it is written, and it says nothing about the next owner, whose identity is another.
 *
 * Adoption. A joiner becomes each gone participant that held no lock, does what that one would have done on leaving
 * (`release`, driven by the bitmaps in the slot, so that it can be done twice) and frees the slot. If the adopter dies
 * half-way, it is itself a gone participant with the same bitmaps. A slot with `nheld` > 0 is left alone: its owner may
 * have died inside a critical section, and what it held must be repaired first.
 */

import { compareExchange, exchange, load, store } from '#atomic';
import { SharedHeapError, show } from '../errors/errors.js';
import { canBlock, jsThreadId, now, park, threadAlive, threadIdentity } from '../platform/platform.js';
import { nudge } from './lwlock-queue.js';
import { Participant, type Peers } from './participant.js';
import {
  GENERATION,
  JS_THREAD,
  MAX_PARTICIPANTS,
  NHELD,
  PARTICIPANT_SLOT_BYTES,
  ParticipantSlot,
  ParticipantTableControl,
  SLOT_ADOPTED,
  SLOT_FREE,
  SLOT_LIVE,
  STATE,
  WAIT_SEQ,
  WAKE,
  WAKE_NONE,
} from './participant-layout.js';

const SLOT_WORDS = PARTICIPANT_SLOT_BYTES / 4;
const HEADER_WORDS = ParticipantTableControl.SIZEOF / 4;
const COUNT = ParticipantTableControl.count / 4;
const HIGH_WATER = ParticipantTableControl.high_water / 4;
/** In units of 8 bytes, from the start of the table. */
const FIRST_IDENTITY = (ParticipantTableControl.SIZEOF + ParticipantSlot.identity) / 8;
const IDENTITY = ParticipantSlot.identity / 4;
const FIRST_DEAD = (ParticipantTableControl.SIZEOF + ParticipantSlot.dead) / 8;
const SLOT_UNITS = PARTICIPANT_SLOT_BYTES / 8;
/** An identity that is not a native one holds the thread's JavaScript number in its low half. */
const LOW_HALF = 0xffffffffn;

/**
 * Longest time that a joiner waits for slots that change hands, in ms. Lower: one who comes while the last free slots
 * are being taken back is refused. Higher: one who comes in vain is told later.
 */
const JOIN_PATIENCE_MS = 1000;
/** Pause between two looks, in ms: nobody wakes a joiner. */
const JOIN_SLICE_MS = 1;

/** What {@link ParticipantTable.join} wants to know. */
export interface JoinOptions {
  /** Milliseconds that lock acquires of this participant wait, 0 or more; may be Infinity. */
  readonly lockTimeout: number;
  /**
   * Gives back what an adopted participant has left (mappings, references). Called as that participant, before its slot
   * is freed. Must be able to run twice.
   */
  readonly release: (adopted: Participant) => void;
}

function badArgument(what: string, detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `${what} is not acceptable`, { detail });
}

/** This thread's handle of the participant table. */
export class ParticipantTable implements Peers {
  readonly #control: Int32Array;
  readonly #ids: BigInt64Array;
  readonly #header: number;
  readonly #firstSlot: number;
  readonly #self: bigint;
  /** Number of slots. */
  readonly count: number;

  /**
   * A handle of a table; does not touch shared memory. Any thread; does not block.
   *
   * @param control the control memory
   * @param byteOffset where the table starts in it, a multiple of 8
   * @param count number of slots, 1 .. 65536
   * @throws ERR_HEAP_BAD_ARGUMENT when the table would not lie in the memory
   */
  constructor(control: Int32Array, byteOffset: number, count: number) {
    if (!(control instanceof Int32Array) || !(control.buffer instanceof SharedArrayBuffer)) {
      throw badArgument('the control memory', 'an Int32Array over a SharedArrayBuffer is needed');
    }
    if (!Number.isInteger(count) || count < 1 || count > MAX_PARTICIPANTS) {
      throw badArgument('the number of participants', `${count} is not a whole number from 1 to ${MAX_PARTICIPANTS}`);
    }
    const bytes = ParticipantTable.sizeof(count);
    if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || (control.byteOffset + byteOffset) % 8 !== 0) {
      throw badArgument('the place of the participant table', `offset ${byteOffset} is not a multiple of 8`);
    }
    if (byteOffset + bytes > control.byteLength) {
      throw badArgument(
        'the place of the participant table',
        `${bytes} bytes at ${byteOffset} do not fit in ${control.byteLength}`,
      );
    }
    this.#control = control;
    this.#ids = new BigInt64Array(control.buffer, control.byteOffset + byteOffset, bytes / 8);
    this.#header = byteOffset / 4;
    this.#firstSlot = this.#header + HEADER_WORDS;
    this.#self = threadIdentity();
    this.count = count;
  }

  /** Bytes that a table of `count` slots takes. */
  static sizeof(count: number): number {
    return ParticipantTableControl.SIZEOF + count * PARTICIPANT_SLOT_BYTES;
  }

  /** Makes an empty table, whatever was in the memory. Before the memory is shared; does not block. */
  initialize(): void {
    this.#control.fill(0, this.#header, this.#firstSlot + this.count * SLOT_WORDS);
    this.#control[this.#header + COUNT] = this.count;
  }

  /** Number of slots that were ever in use: where scans end. Any thread; does not block. */
  highWater(): number {
    return load(this.#control, this.#header + HIGH_WATER);
  }

  /** Word index of slot `slot` in the control memory. */
  slotBase(slot: number): number {
    return this.#firstSlot + slot * SLOT_WORDS;
  }

  /**
   * Tells whether the owner of a slot lives. Any thread; does not block; about 10 µs on Linux (a file is read), less
   * for threads that were seen to be gone before.
   *
   * @returns false for a free slot and for a number that is none; undefined when it cannot be known (not Linux, and nobody reported the exit)
   */
  isAlive(slot: number): boolean | undefined {
    if (!this.#has(slot)) return false;
    const identity = load(this.#ids, FIRST_IDENTITY + slot * SLOT_UNITS);
    if (identity === 0n) return false;
    if (identity === this.#self) return true;
    if (load(this.#ids, FIRST_DEAD + slot * SLOT_UNITS) === identity) return false;
    const alive = threadAlive(identity);
    if (alive === false) store(this.#ids, FIRST_DEAD + slot * SLOT_UNITS, identity);
    return alive;
  }

  /** Tells whether the owner of a slot was already seen to be gone. Any thread; does not block; 14 ns. */
  knownDead(slot: number): boolean {
    const dead = load(this.#ids, FIRST_DEAD + slot * SLOT_UNITS);
    return dead !== 0n && dead === load(this.#ids, FIRST_IDENTITY + slot * SLOT_UNITS);
  }

  /** Tells whether a slot belongs to the calling thread. Any thread; does not block. */
  isOwnThread(slot: number): boolean {
    return this.#has(slot) && load(this.#ids, FIRST_IDENTITY + slot * SLOT_UNITS) === this.#self;
  }

  /**
   * Tells whether the participant of this generation still has the slot, and its thread is not known to be gone. Any
   * thread; does not block; costs what {@link isAlive} costs. While a slot changes hands the answer may still be true.
   */
  isCurrent(slot: number, generation: number): boolean {
    return load(this.#control, this.slotBase(slot) + GENERATION) === generation && this.isAlive(slot) !== false;
  }

  /** {@link isCurrent} as far as it is known already: asks nobody. A thread whose end nobody has seen counts as alive. */
  seemsCurrent(slot: number, generation: number): boolean {
    return (
      load(this.#control, this.slotBase(slot) + GENERATION) === generation &&
      !this.#looksFree(slot) &&
      !this.knownDead(slot)
    );
  }

  /** Number of participants that are attached and not known to be gone. Any thread; does not block. */
  liveCount(): number {
    let live = 0;
    for (let slot = 0; slot < this.count; slot++) if (this.isAlive(slot) !== false) live++;
    return live;
  }

  /**
   * Notes that a thread has ended, and makes waiters look whom they wait for. Any thread; does not block. Call it after
   * the thread's exit was seen. Where the host can tell which threads live (Linux), it is asked, and every slot of a
   * thread that is gone is noted.
   *
   * @param jsThread JavaScript number of the thread that has ended (`worker.threadId` before the exit)
   * @returns number of slots whose owner was noted to be gone
   */
  markDead(jsThread: number): number {
    let marked = 0;
    for (let slot = 0; slot < this.count; slot++) {
      const identity = load(this.#ids, FIRST_IDENTITY + slot * SLOT_UNITS);
      if (identity === 0n || identity === this.#self || this.knownDead(slot)) continue;
      const alive = threadAlive(identity);
      if (alive === false || (alive === undefined && (identity & LOW_HALF) === BigInt(jsThread))) {
        store(this.#ids, FIRST_DEAD + slot * SLOT_UNITS, identity);
        marked++;
      }
    }
    if (marked > 0) this.wakeAll();
    return marked;
  }

  /**
   * Makes every thread that waits for a lock run its `attend` and look again at what it waits for. Any thread; does not
   * block. The waiters stay queued.
   */
  wakeAll(): void {
    for (let slot = 0; slot < this.highWater(); slot++) nudge(this.#control, this.slotBase(slot));
  }

  /**
   * Attaches the calling thread, after taking back the slots of participants that are gone and held no lock. The calling
   * thread; may block for the locks that `release` takes. Follows InitProcess.
   *
   * @returns a participant for this thread; `leave()` gives it back
   * @throws ERR_HEAP_PARTICIPANT_SLOTS when no slot is free; when some are changing hands, after `lockTimeout` or a second
   * @throws ERR_HEAP_BAD_OPTION when `lockTimeout` is not a number of milliseconds
   * @throws ERR_HEAP_CORRUPT when the memory holds no table of this size
   */
  join(options: JoinOptions): Participant {
    const { lockTimeout, release } = options;
    if (typeof lockTimeout !== 'number' || !(lockTimeout >= 0)) {
      throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'lockTimeout is not a number of milliseconds', {
        detail: `got ${show(lockTimeout)}`,
        hint: '0 or more; Infinity waits for ever',
      });
    }
    if (this.#control[this.#header + COUNT] !== this.count) {
      throw new SharedHeapError('ERR_HEAP_CORRUPT', 'there is no participant table of this size here', {
        detail: `expected ${this.count} slots, found ${this.#control[this.#header + COUNT]}`,
      });
    }
    // Set when there is something to wait for: asking a thread's clock for the first time takes it 0.5 ms.
    let end = Number.NaN;
    for (let again = true; ; ) {
      this.#adoptGone(lockTimeout, release);
      for (let slot = 0; slot < this.count; slot++) {
        if (compareExchange(this.#ids, FIRST_IDENTITY + slot * SLOT_UNITS, 0n, this.#self) === 0n) {
          return this.#occupy(slot, lockTimeout);
        }
      }
      const changing = this.#changingHands();
      if (!again || !canBlock()) throw this.#noSlot();
      // One more look in any case: an adopter has the slot for a moment before it says so.
      if (Number.isNaN(end)) end = now() + Math.min(lockTimeout, JOIN_PATIENCE_MS);
      again = changing >= 0 && now() < end;
      const word = this.slotBase(Math.max(changing, 0)) + STATE;
      park(this.#control, word, load(this.#control, word), JOIN_SLICE_MS);
    }
  }

  /** A slot that another thread is taking, adopting or giving back, or -1. */
  #changingHands(): number {
    for (let slot = 0; slot < this.count; slot++) {
      const identity = load(this.#ids, FIRST_IDENTITY + slot * SLOT_UNITS);
      if (identity === 0n || load(this.#control, this.slotBase(slot) + STATE) === SLOT_LIVE) continue;
      if (identity !== this.#self && this.isAlive(slot) !== false) return slot;
    }
    return -1;
  }

  /** Gives the slot of `p` back; {@link Participant.leave} is the way to call it. */
  vacate(p: Participant): void {
    const base = p.base;
    store(this.#control, base + STATE, SLOT_FREE);
    store(this.#control, base + JS_THREAD, 0);
    compareExchange(this.#ids, FIRST_IDENTITY + p.slot * SLOT_UNITS, this.#self, 0n);
  }

  /** A damaged lock word can name any owner. */
  #has(slot: number): boolean {
    return slot >= 0 && slot < this.count;
  }

  /** Fills in a slot whose identity is this thread's own. */
  #occupy(slot: number, lockTimeout: number): Participant {
    const control = this.#control;
    const base = this.slotBase(slot);
    // Never 0, which means nobody to those who note generations.
    const generation = (load(control, base + GENERATION) + 1) | 0 || 1;
    store(control, base + GENERATION, generation);
    // A predecessor may have died queued: the next even number tells readers that its entry is over.
    const seq = load(control, base + WAIT_SEQ);
    if ((seq & 1) !== 0) store(control, base + WAIT_SEQ, (seq + 1) | 0);
    exchange(control, base + WAKE, WAKE_NONE);
    store(control, base + JS_THREAD, jsThreadId());
    this.#raiseHighWater(slot + 1);
    store(control, base + STATE, SLOT_LIVE);
    return new Participant(this, control, slot, generation, lockTimeout, canBlock());
  }

  /**
   * Whether both halves of a slot's identity are 0: a plain look, wrong only while the slot changes hands, and then its
   * next or last owner was alive a moment ago. Sixty atomic loads of 64 bits take a thread that has just started 0.1 ms.
   */
  #looksFree(slot: number): boolean {
    const word = this.slotBase(slot) + IDENTITY;
    return (this.#control[word]! | this.#control[word + 1]!) === 0;
  }

  #raiseHighWater(to: number): void {
    const word = this.#header + HIGH_WATER;
    let seen = load(this.#control, word);
    while (seen < to) {
      const found = compareExchange(this.#control, word, seen, to);
      if (found === seen) return;
      seen = found;
    }
  }

  #adoptGone(lockTimeout: number, release: (adopted: Participant) => void): void {
    // All slots: one that was claimed by a thread that died at once may lie above the high water.
    for (let slot = 0; slot < this.count; slot++) {
      if (this.#looksFree(slot)) continue;
      const at = FIRST_IDENTITY + slot * SLOT_UNITS;
      const identity = load(this.#ids, at);
      if (identity === 0n || identity === this.#self || this.isAlive(slot) !== false) continue;
      // The death is known before nheld is read, so nobody writes it any more.
      if (this.#control[this.slotBase(slot) + NHELD] !== 0) continue;
      if (compareExchange(this.#ids, at, identity, this.#self) !== identity) continue;
      const adopted = this.#occupy(slot, lockTimeout);
      store(this.#control, adopted.base + STATE, SLOT_ADOPTED);
      try {
        release(adopted);
      } catch (error) {
        // Hand it back to the dead, so that a later joiner tries again.
        store(this.#ids, FIRST_DEAD + slot * SLOT_UNITS, identity);
        adopted.closed = true;
        store(this.#ids, at, identity);
        throw error;
      }
      adopted.leave();
    }
  }

  #noSlot(): SharedHeapError {
    let gone = 0;
    let unknown = 0;
    for (let slot = 0; slot < this.count; slot++) {
      const alive = this.isAlive(slot);
      if (alive === false) gone++;
      else if (alive === undefined) unknown++;
    }
    return new SharedHeapError('ERR_HEAP_PARTICIPANT_SLOTS', 'no slot for another participant is free', {
      detail: `${this.count} slots, ${gone} of them of threads that ended while they may have held a lock, ${unknown} of threads that cannot be asked`,
      hint: 'raise the participants option, close heaps that are done (heap.close()), or report ended workers (heap.watch())',
      sqlState: '53300',
      pgMessage: 'sorry, too many clients already',
    });
  }
}
