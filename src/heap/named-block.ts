/**
 * What locks, conditions and barriers of the front need of the heap: a block of shared memory by name, and who they are.
 *
 * The registry gives both; these are the parts of it that matter here. No lock of its own.
 */

import { SharedHeapError } from '../errors/errors.js';
import type { Participant, TrancheTable } from '../sync/sync.js';
import type { NamedSeam } from './named.js';
import { show } from './sizes.js';

/** Zeroed bytes under a name, made once however many threads ask; they stay where they are. */
export interface SyncBlock {
  /** Words of the memory that holds it. */
  readonly i32: Int32Array;
  /** Word index of its first byte there. */
  readonly word: number;
  /** Number of that memory, for locks. */
  readonly ns: number;
}

/** What a block of this file may hold. */
export type SyncKind = 'lock' | 'condition' | 'barrier';

/** Where a lock, condition or barrier lives. */
export interface SyncHome {
  readonly participant: Participant;
  readonly tranches: TrancheTable;
  /** Finds the block of a name, or makes it and has it initialised before anybody else sees it. */
  readonly blocks: {
    block(name: string, kind: SyncKind, size: number, init: (block: SyncBlock) => void): SyncBlock;
  };
}

/** The home that the registry of a heap gives them. */
export function syncHome({ dsm, registry }: NamedSeam): SyncHome {
  return { participant: dsm.participant, tranches: dsm.tranches, blocks: registry };
}

/** An error of the core, about the thing of this name. */
export function aboutNamed(error: unknown, kind: SyncKind, name: string): unknown {
  if (!(error instanceof SharedHeapError)) return error;
  return new SharedHeapError(error.code, `${kind} ${show(name)}: ${error.message}`, {
    detail: error.detail,
    hint: error.hint,
    sqlState: error.sqlState,
    cause: error.cause ?? error,
  });
}
