/**
 * What may be given to the registry: names, sizes, callbacks; and the errors of names that stand for something else.
 *
 * Checked before anything is touched. PostgreSQL allows 63 bytes; 127 are allowed here, so that paths and URLs do.
 */

import { SharedHeapError } from '../errors/errors.js';
import { requireInteger } from '../dsm/dsm.js';
import { KINDS, NAME_BYTES, type NamedKind, type RegistryKind } from './layout.js';

const encoder = new TextEncoder();
/** One ordinary allocation. */
const MAX_BLOCK_SIZE = 0x3fffffff;
const BLOCK_KINDS: readonly string[] = KINDS.slice(KINDS.indexOf('block'));

/** Longest name in bytes of UTF-8. */
export const MAX_NAME_BYTES = NAME_BYTES - 1;

function badName(message: string, detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_NAME', message, {
    detail,
    hint: `Give a string of 1 to ${MAX_NAME_BYTES} bytes in UTF-8, without zero characters and lone surrogates.`,
    sqlState: '22023',
  });
}

/** @throws ERR_HEAP_BAD_NAME */
export function requireName(name: unknown): string {
  if (typeof name !== 'string') throw badName('a name must be a string', `got ${name === null ? 'null' : typeof name}`);
  if (name === '') throw badName('a name cannot be empty', 'got the empty string');
  if (!name.isWellFormed()) throw badName('a name must be well-formed text', 'it has a lone surrogate');
  if (name.includes('\0')) throw badName('a name cannot contain a zero character', `at index ${name.indexOf('\0')}`);
  // A UTF-16 unit takes at least one byte, so the encoder never sees much more than fits.
  const bytes = name.length > MAX_NAME_BYTES ? name.length : encoder.encode(name).length;
  if (bytes > MAX_NAME_BYTES) {
    throw badName('the name is too long', `${bytes} bytes or more, at most ${MAX_NAME_BYTES}`);
  }
  return name;
}

/** @throws ERR_HEAP_BAD_ARGUMENT */
export function requireInit(init: unknown): void {
  if (typeof init === 'function') return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'init is not a function', {
    detail: `got ${init === null ? 'null' : typeof init}`,
  });
}

/** @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_SIZE */
export function requireBlock(kind: unknown, size: unknown): void {
  if (typeof kind !== 'string' || !BLOCK_KINDS.includes(kind)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'unknown kind of named block', {
      detail: `got ${typeof kind === 'string' ? JSON.stringify(kind) : typeof kind}`,
      hint: `Known kinds: ${BLOCK_KINDS.join(', ')}.`,
    });
  }
  requireInteger(size, 1, MAX_BLOCK_SIZE, 'size of a named block', 'ERR_HEAP_BAD_SIZE');
}

/** What PostgreSQL calls them in its messages. */
function pgNoun(kind: RegistryKind): string {
  if (kind === 'area') return 'DSA';
  return kind === 'hash' ? 'DSHash' : 'DSM segment';
}

/** The error for a name that stands for something of another kind. */
export function kindMismatch(name: string, wanted: RegistryKind, found: RegistryKind | undefined): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_TYPE_MISMATCH', 'the name belongs to something of another kind', {
    detail: `${JSON.stringify(name)} is a ${found ?? 'thing of unknown kind'}, asked for was a ${wanted}`,
    hint: 'All kinds share one space of names: choose another name.',
    pgMessage: `requested ${pgNoun(wanted)} does not match type of existing entry`,
  });
}

/** The error for a name that stands for something of another size. */
export function sizeMismatch(
  name: string,
  kind: NamedKind | 'segment',
  wanted: number,
  found: number,
): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_SIZE_MISMATCH', 'the name belongs to something of another size', {
    detail: `${kind} ${JSON.stringify(name)} has ${found} bytes, asked for were ${wanted}`,
    hint: 'Ask for the same size in every thread, or choose another name.',
    pgMessage: 'requested DSM segment size does not match size of existing segment',
  });
}

/** The error of an initialiser that asks for what it is making itself. */
export function ownClaim(what: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_LOCK_SELF', `${what} is being made by this thread already`, {
    hint: 'An init callback must not ask for the name that it initialises.',
  });
}
