/** How long a wait may take and what may end it earlier: options, checked. Nothing shared, no lock. */

import { aborted, participantLeft } from './async-sleep.js';
import type { Participant } from './participant.js';
import { bad } from './place.js';

/** Bounds of a wait that blocks. */
export interface WaitOptions {
  /** Milliseconds, 0 or more, fractions allowed; Infinity waits as long as it takes. Default: the participant's `lockTimeout`. */
  readonly timeout?: number | undefined;
}

/** Bounds of a wait that does not block. */
export interface AsyncWaitOptions extends WaitOptions {
  /** Ends the wait when it is aborted: the promise is rejected with ERR_HEAP_ABORTED, whose `cause` is the reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What is left of {@link AsyncWaitOptions} after checking. */
export interface CheckedWait {
  readonly ms: number;
  readonly signal: AbortSignal | undefined;
}

const NAMES: readonly string[] = ['timeout', 'signal'];

/**
 * Checks a number of milliseconds.
 *
 * @throws ERR_HEAP_BAD_ARGUMENT
 */
export function checkMs(ms: unknown): asserts ms is number {
  if (typeof ms !== 'number' || !(ms >= 0)) {
    const got = typeof ms === 'number' ? String(ms) : typeof ms;
    throw bad(
      'the timeout is not acceptable',
      `got ${got}`,
      'milliseconds, 0 or more; Infinity waits as long as it takes',
    );
  }
}

function isAbortSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null) return false;
  const { aborted, addEventListener } = value as Partial<AbortSignal>;
  return typeof aborted === 'boolean' && typeof addEventListener === 'function';
}

/**
 * Checks the options of a wait. Any thread; does not block.
 *
 * @param blocks whether the wait blocks: then it takes no signal, since nothing could abort it
 * @throws ERR_HEAP_BAD_ARGUMENT
 */
export function checkWait(p: Participant, options: unknown, blocks: boolean): CheckedWait {
  if (options === undefined) return { ms: p.lockTimeout, signal: undefined };
  if (typeof options !== 'object' || options === null) {
    throw bad('the options of a wait are not an object', `got ${options === null ? 'null' : typeof options}`);
  }
  for (const name in options) {
    if (!NAMES.includes(name)) throw bad(`unknown option '${name}'`, '', `known: ${NAMES.join(', ')}`);
  }
  const { timeout = p.lockTimeout, signal } = options as { timeout?: unknown; signal?: unknown };
  checkMs(timeout);
  if (signal !== undefined && blocks) {
    throw bad('a wait that blocks cannot be aborted', 'option signal was given', 'use the asynchronous form');
  }
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw bad('option signal is not an AbortSignal', `got ${signal === null ? 'null' : typeof signal}`);
  }
  return { ms: timeout, signal };
}

/**
 * {@link checkWait} for a wait that does not block, and what makes it pointless to begin.
 *
 * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CLOSED, ERR_HEAP_ABORTED
 */
export function checkAsyncWait(p: Participant, options: unknown): CheckedWait {
  const checked = checkWait(p, options, false);
  if (p.closed) throw participantLeft();
  if (checked.signal?.aborted === true) throw aborted(checked.signal);
  return checked;
}
