/**
 * The one error class of this library and the closed list of its codes.
 *
 * Stands on nothing. An error says three things, as PostgreSQL's do: the message says what happened, `detail`
 * gives the numbers, `hint` says what to do. Programs look at `code` only; it is stable across versions.
 * Errors of the core that PostgreSQL has too also carry its words (`sqlState`, `pgMessage`, `pgDetail`), so that
 * a recorded trace of the C original can be compared with what was thrown here.
 */

export { show } from './show.js';

/** Every code that this library throws, with its meaning. A code is added here or it does not exist. */
export const ERROR_CODES = {
  ERR_HEAP_BAD_ARGUMENT: 'an argument has the wrong type or lies outside its range',
  ERR_HEAP_BAD_SIZE: 'a size is not a whole number of bytes within the limits',
  ERR_HEAP_BAD_OPTION: 'an option is unknown or its value is not acceptable',
  ERR_HEAP_BAD_HANDLE: 'the value is not a handle of a heap, area or segment',
  ERR_HEAP_VERSION: 'the shared memory was laid out by another version of this library',
  ERR_HEAP_OUT_OF_MEMORY: 'the area cannot provide the requested memory',
  ERR_HEAP_SEGMENT_SLOTS: 'all slots for segments are in use',
  ERR_HEAP_PARTICIPANT_SLOTS: 'all slots for participants are in use',
  ERR_HEAP_HOST_LIMIT: 'the JavaScript engine refused to provide memory or a view of it',
  ERR_HEAP_UNSUPPORTED: 'this runtime lacks what the operation needs',
  ERR_HEAP_DOUBLE_FREE: 'the object is not live: it was freed before',
  ERR_HEAP_INTERIOR_POINTER: 'the pointer lies inside an object, not at its start',
  ERR_HEAP_FOREIGN_POINTER: 'the pointer does not belong to any object of this area',
  ERR_HEAP_MISALIGNED_POINTER: 'the pointer is not a multiple of 8 or not a whole number',
  ERR_HEAP_STALE_SEGMENT: 'the segment that the pointer lies in was given back',
  ERR_HEAP_OUT_OF_BOUNDS: 'the bytes asked for do not lie inside the object',
  ERR_HEAP_AREA_GONE: 'the area no longer exists',
  ERR_HEAP_SEGMENT_GONE: 'the segment no longer exists',
  ERR_HEAP_SEGMENT_UNREACHABLE: 'nobody could hand over the buffer of a segment in time',
  ERR_HEAP_ALREADY_ATTACHED: 'this participant has the segment attached already',
  ERR_HEAP_ALREADY_PINNED: 'the area or segment is pinned already',
  ERR_HEAP_NOT_PINNED: 'the area or segment is not pinned',
  ERR_HEAP_NO_SUCH_KEY: 'the table of contents has no entry under this key',
  ERR_HEAP_BAD_NAME: 'a name is not acceptable',
  ERR_HEAP_TYPE_MISMATCH: 'the name belongs to something of another kind',
  ERR_HEAP_SIZE_MISMATCH: 'the name belongs to something of another size',
  ERR_HEAP_CLOSED: 'the handle object was closed or detached',
  ERR_HEAP_LOCK_STALLED: 'a lock was not released in time',
  ERR_HEAP_LOCK_SELF: 'the participant holds this lock already',
  ERR_HEAP_LOCK_NOT_HELD: 'the participant does not hold this lock',
  ERR_HEAP_LOCK_HELD: 'the participant still holds locks',
  ERR_HEAP_TOO_MANY_LOCKS: 'the participant holds as many locks as it may',
  ERR_HEAP_TRANCHE: 'a tranche name or id is not acceptable',
  ERR_HEAP_TIMEOUT: 'a wait ended because its time was over',
  ERR_HEAP_ABORTED: 'a wait ended because its AbortSignal was aborted',
  ERR_HEAP_BARRIER: 'the barrier cannot do this in its present state',
  ERR_HEAP_WOULD_BLOCK: 'the operation would have to block where this thread must not',
  ERR_HEAP_CORRUPT: 'shared structures contradict each other',
  ERR_HEAP_POISONED: 'the heap was marked unusable after damage was found',
} as const;

/** A code of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error carries besides its code and message. */
export interface ErrorFields {
  /** The numbers: what was asked, what stood in the way. */
  detail?: string;
  /** What the caller can do about it. */
  hint?: string;
  /** SQLSTATE that PostgreSQL raises in the same place. */
  sqlState?: string;
  /** PostgreSQL's primary message in the same place. */
  pgMessage?: string;
  /** PostgreSQL's detail line in the same place. */
  pgDetail?: string;
  /** The error that led to this one. */
  cause?: unknown;
}

/**
 * Thrown by every public function of this library, from any thread. `error.code` is one of {@link ERROR_CODES}.
 */
export class SharedHeapError extends Error {
  /** Stable code; the only field that programs should look at. */
  readonly code: ErrorCode;
  /** The numbers: what was asked, what stood in the way. Empty when the message says all. */
  readonly detail: string;
  /** What the caller can do about it. */
  readonly hint: string;
  /** SQLSTATE of the C original in the same place, or `XX000` (internal error) when it has none. */
  readonly sqlState: string;
  /** PostgreSQL's message in the same place; this error's own message when PostgreSQL has no such error. */
  readonly pgMessage: string;
  /** PostgreSQL's detail in the same place, or the empty string. */
  readonly pgDetail: string;

  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = 'SharedHeapError';
    this.code = code;
    this.detail = fields.detail ?? '';
    this.hint = fields.hint ?? '';
    this.sqlState = fields.sqlState ?? 'XX000';
    this.pgMessage = fields.pgMessage ?? message;
    this.pgDetail = fields.pgDetail ?? '';
  }

  /** `code: message (detail) hint` in one line, which is what a log wants. */
  override toString(): string {
    const detail = this.detail === '' ? '' : ` (${this.detail})`;
    const hint = this.hint === '' ? '' : ` ${this.hint}`;
    return `${this.code}: ${this.message}${detail}${hint}`;
  }
}

/**
 * Tells whether a caught value is an error of this library, also when it comes from another copy of it.
 *
 * @param value anything
 * @returns true when `value.code` is one of {@link ERROR_CODES}
 */
export function isSharedHeapError(value: unknown): value is SharedHeapError {
  return value instanceof Error && Object.hasOwn(ERROR_CODES, (value as { code?: string }).code ?? '');
}
