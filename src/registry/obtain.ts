/**
 * Finding what a name stands for, or making it, exactly once however many threads ask at the same time.
 *
 *     1  under the lock of the entry: ready → take it; claimed by somebody who lives → wait, then look again;
 *        otherwise claim it
 *     2  without any lock: make it, note in the entry what was made, run the init callback, pin it
 *     3  under the lock of the entry: publish it as ready. When step 2 threw: delete the entry, then undo what was made
 *
 * Follows GetNamedDSMSegment and its siblings of dsm_registry.c, which do all of it under the partition lock and leave the
 * entry of a failed initialisation behind. Here a failure leaves nothing: the next one who asks starts from nothing, also
 * with another kind or size, as one of those who wait does.
 *
 * A thread that dies in step 2 leaves a claim that the next one who asks takes over, after giving back what the entry
 * says was made. What was made and not yet noted is lost: a block to the registry's area, an area to the cluster; an
 * unpinned segment goes with its maker. Only in the few words under the lock of the entry does a death leave that lock
 * behind, with a 128th of all names (ERR_HEAP_LOCK_STALLED).
 */

import type { Dsm } from '../dsm/dsm.js';
import { ld64, st64 } from '../layout/layout.js';
import { announce, Wait } from './changes.js';
import { claim, CLAIM_NONE, CLAIM_READY, isMine, isReady, settle, type Standing, standingOf } from './claim.js';
import {
  E_HANDLE,
  E_KIND,
  E_POINTER,
  E_RESERVED,
  E_SIZE,
  E_STATE,
  KINDS,
  type NamedKind,
  type RegistryKind,
} from './layout.js';
import { kindMismatch, ownClaim, sizeMismatch } from './names.js';
import { heldForDead, type NameTable } from './root.js';

/** Where a named thing lies: what its entry says. */
export interface Place {
  /** Segment, or first segment of the area; 0 for a block. */
  readonly handle: number;
  /** Of the table in its area, or of the block in the registry's; else 0. */
  readonly pointer: number;
}

/** How a thing of one kind is made. None of these runs under a lock. */
export interface Recipe {
  readonly kind: RegistryKind;
  /** Bytes that all who ask must agree on; 0 where there is no such number. */
  readonly size: number;
  /** Takes memory for it; keeps nothing when it throws. */
  make(): Place;
  /** Makes it usable: the user's callback, and whatever else may fail. May add to the place. */
  complete(made: Place): Place;
  /** Gives back what {@link make} took, here or in a thread that is gone. Never throws. */
  discard(made: Place): void;
}

/** What {@link obtain} has found or made. */
export interface Obtained extends Place {
  /** False for the one that made it. */
  readonly found: boolean;
}

/** What a look at the entry has shown. */
interface Look {
  readonly standing: Standing;
  readonly kind: RegistryKind | undefined;
  readonly size: number;
  readonly owner: number;
  readonly place: Place;
}

/** Finds or makes what `name` stands for. Blocks while somebody else makes it, at most for `lockTimeout`. */
export function obtain(dsm: Dsm, table: NameTable, name: string, recipe: Recipe): Obtained {
  const what = `${recipe.kind} ${JSON.stringify(name)}`;
  const wait = new Wait(dsm, what);
  for (;;) {
    wait.look();
    const { standing, kind, size, owner, place } = lookOrClaim(dsm, table, name, recipe);
    if (kind !== recipe.kind) throw kindMismatch(name, recipe.kind, kind);
    if (size !== recipe.size) throw sizeMismatch(name, kind as NamedKind | 'segment', recipe.size, size);
    if (standing === 'ready') return { ...place, found: true };
    if (standing === 'own') throw ownClaim(what);
    if (standing === 'busy') {
      wait.sleep(owner);
      continue;
    }
    if (place.handle !== 0 || place.pointer !== 0) recipe.discard(place);
    return { ...makeClaimed(dsm, table, name, recipe), found: false };
  }
}

/** Step 1. A `free` entry that fits the recipe is claimed, and its place, what a claimant who is gone has left, emptied. */
function lookOrClaim(dsm: Dsm, table: NameTable, name: string, recipe: Recipe): Look {
  const entry = table.findOrInsert(name) as Exclude<ReturnType<NameTable['findOrInsert']>, 0>;
  const { words, entryWord: at } = table;
  if (!table.found) {
    settle(words, at + E_STATE, CLAIM_NONE);
    words[at + E_KIND] = KINDS.indexOf(recipe.kind);
    words[at + E_RESERVED] = 0;
    st64(words, at + E_SIZE, recipe.size);
    writePlace(words, at, NOWHERE);
  }
  const kind = KINDS[words[at + E_KIND]!];
  const size = ld64(words, at + E_SIZE);
  const standing = standingOf(dsm, words, at + E_STATE);
  const owner = words[at + E_STATE + 1]!;
  const place = readPlace(words, at);
  if (standing === 'free' && kind === recipe.kind && size === recipe.size) {
    writePlace(words, at, NOWHERE);
    claim(dsm, words, at + E_STATE);
  }
  table.releaseLock(entry);
  return { standing, kind, size, owner, place };
}

/** Steps 2 and 3. */
function makeClaimed(dsm: Dsm, table: NameTable, name: string, recipe: Recipe): Place {
  let made: Place | null = null;
  try {
    made = recipe.make();
    note(dsm, table, name, made, false);
    made = recipe.complete(made);
    note(dsm, table, name, made, true);
    return made;
  } catch (error) {
    giveUp(dsm, table, name);
    if (made !== null) recipe.discard(made);
    throw error;
  } finally {
    announce(dsm);
  }
}

/** Notes in the claimed entry where the thing lies, and publishes it when it is `done`. */
function note(dsm: Dsm, table: NameTable, name: string, place: Place, done: boolean): void {
  const entry = table.find(name, true);
  if (entry !== 0) {
    const { words, entryWord: at } = table;
    const mine = isMine(dsm, words, at + E_STATE);
    if (mine) writePlace(words, at, place);
    if (mine && done) settle(words, at + E_STATE, CLAIM_READY);
    table.releaseLock(entry);
    if (mine) return;
  }
  throw heldForDead(JSON.stringify(name));
}

/** Deletes the claimed entry. Where its lock cannot be had, the claim stays until this participant is gone. */
function giveUp(dsm: Dsm, table: NameTable, name: string): void {
  try {
    const entry = table.find(name, true);
    if (entry === 0) return;
    if (isMine(dsm, table.words, table.entryWord + E_STATE)) table.deleteEntry(entry);
    else table.releaseLock(entry);
  } catch {
    // Another error is on its way already.
  }
}

const NOWHERE: Place = { handle: 0, pointer: 0 };

function readPlace(words: Int32Array, at: number): Place {
  return { handle: words[at + E_HANDLE]! >>> 0, pointer: ld64(words, at + E_POINTER) };
}

function writePlace(words: Int32Array, at: number, { handle, pointer }: Place): void {
  words[at + E_HANDLE] = handle;
  st64(words, at + E_POINTER, pointer);
}

/** One name of the registry, as plain data. */
export interface RegistryRow extends Place {
  readonly name: string;
  readonly kind: RegistryKind;
  /** Bytes that were asked for; 0 for areas and tables. */
  readonly size: number;
  /** False while somebody is making it. */
  readonly ready: boolean;
  /** False when whoever was making it is gone. */
  readonly claimed: boolean;
}

/** A byte order mark is a character of a name like any other. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Reads the entry at word `at`, whose partition is locked; null when it says what no entry can say. */
export function readEntry(dsm: Dsm, words: Int32Array, at: number): RegistryRow | null {
  const kind = KINDS[words[at + E_KIND]!];
  if (kind === undefined) return null;
  const bytes = new Uint8Array(words.slice(at, at + E_STATE).buffer);
  const end = bytes.indexOf(0);
  const ready = isReady(words, at + E_STATE);
  return {
    name: decoder.decode(bytes.subarray(0, end < 0 ? bytes.length : end)),
    kind,
    size: ld64(words, at + E_SIZE),
    ready,
    claimed: !ready && standingOf(dsm, words, at + E_STATE) !== 'free',
    ...readPlace(words, at),
  };
}
