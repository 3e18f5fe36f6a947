/**
 * What `SharedHeap.create`, `attach` and `alloc` take: checked completely before anything is made.
 *
 * Stands on sizes and the error class. An unknown option is an error that names the nearest known one, because a
 * mistyped option that is silently ignored is found weeks later, by its absence.
 */

import { SharedHeapError } from '../errors/errors.js';
import { nearest } from './nearest.js';
import { parseSize, type Size, show } from './sizes.js';

/** Options of `SharedHeap.create`. Every size is in bytes, or text such as `'64MiB'`. */
export interface HeapOptions {
  /**
   * Where segments live. `'region'` (default): one large reservation, usable by every thread at once, memory is
   * never given back to the system. `'buffers'`: a SharedArrayBuffer per segment, given back when it is freed
   * and collected; Node.js only.
   */
  store?: 'region' | 'buffers' | undefined;
  /**
   * Bytes of address space that `'region'` reserves, at least 4 MiB; memory is used only where something was
   * written. When the engine refuses, half is tried, and so on; `stats()` says what was had. Default 16 GiB.
   */
  regionSize?: Size | undefined;
  /** No new segment is made once the heap has this many bytes. Default: no limit. */
  limit?: Size | undefined;
  /**
   * Size of the first segment; at least 256 KiB, at most `maxSegmentSize`. Default 1 MiB, or `maxSegmentSize` if that
   * is less.
   */
  initSegmentSize?: Size | undefined;
  /** Largest segment that growth makes by itself; a larger request still gets a segment of its own. Default 1 TiB. */
  maxSegmentSize?: Size | undefined;
  /** Most participants at one time, 1 .. 800; each `create` and `attach` is one. Default 64. */
  participants?: number | undefined;
  /** Most segments at one time, 1 .. 4096. Default 64 + 5 * participants. */
  segments?: number | undefined;
  /**
   * Whole milliseconds to wait for the buffer of a segment that another thread made (`'buffers'` only). Default 5,000.
   */
  attachTimeout?: number | undefined;
  /** Whole milliseconds that a call may wait for a lock before it fails. Default 60,000. */
  lockTimeout?: number | undefined;
  /**
   * Each participant keeps some free objects at hand, so that most calls need no lock: at most an eighth of what the heap
   * may have, all together. Default true. False: placement is PostgreSQL's, and every free object can be had by everybody.
   */
  cache?: boolean | undefined;
  /**
   * A pointer that is no live object is always found; with `cache`, unless two threads free the same object at the same
   * moment. Default true. With false, and `cache`, a second free of an object of up to 8 KiB, or of a large one that lies in a
   * cache, and a free of a pointer into the middle of a small one are believed: two later objects may then be the same. And
   * what a thread had cached that is killed is lost.
   */
  checks?: boolean | undefined;
}

/** Options of `SharedHeap.attach`; the meaning is that of {@link HeapOptions}, for this participant. */
export type AttachOptions = Pick<HeapOptions, 'attachTimeout' | 'lockTimeout'>;

/** Options of `alloc`. */
export interface AllocOptions {
  /** Fill the requested bytes with 0. Default: they hold whatever was there before. */
  zero?: boolean | undefined;
  /** Return 0 instead of throwing when there is no memory. Default false. */
  orNull?: boolean | undefined;
}

const ATTACH_NAMES = ['attachTimeout', 'lockTimeout'] as const;
const HEAP_NAMES = [
  'store',
  'regionSize',
  'limit',
  'initSegmentSize',
  'maxSegmentSize',
  'participants',
  'segments',
  'cache',
  'checks',
  ...ATTACH_NAMES,
] as const;
const ALLOC_NAMES = ['zero', 'orNull'] as const;
const STORES = ['region', 'buffers'] as const;

/** PostgreSQL's bound for segment sizes: smaller ones would be all metadata. */
const LEAST_SEGMENT = 256 * 1024;
/** What a pointer can address inside one segment. */
const MOST_SEGMENT = 2 ** 40;
const DEFAULT_FIRST_SEGMENT = 1024 * 1024;
/** The core's bounds: every wake-up may look at each participant once, and each has a bitmap with a bit per segment. */
const MOST_PARTICIPANTS = 800;
const MOST_SEGMENTS = 4096;
/** The control segment and something to cut segments from. */
const LEAST_REGION = 4 * 1024 * 1024;
/** Timers and `Atomics.wait` take signed 32-bit milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Options of `create` after checking; absent ones are left to the core's defaults. */
export interface CheckedOptions {
  readonly dsm: {
    store?: 'region' | 'buffers';
    regionSize?: number;
    participants?: number;
    segments?: number;
    attachTimeout?: number;
    lockTimeout?: number;
  };
  readonly area: { initSegmentSize?: number; maxSegmentSize?: number; fallback: true; cache: boolean; checks: boolean };
  readonly limit: number | undefined;
}

function bad(message: string, detail: string, hint: string): never {
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', message, { detail, hint });
}

/**
 * Refuses anything but a plain record of known names. `undefined` stands for no options.
 *
 * @param options what the caller gave
 * @param known the names that exist
 * @returns the record, empty for `undefined`
 * @throws ERR_HEAP_BAD_OPTION naming the nearest known option. Any thread; does not block.
 */
export function checkNames(options: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (options === undefined) return {};
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    bad('options are not an object', `got ${show(options)}`, `Known options: ${known.join(', ')}.`);
  }
  for (const name in options) {
    if (known.includes(name)) continue;
    const guess = nearest(name, known);
    const hint = guess === undefined ? '' : `Did you mean '${guess}'? `;
    bad(`unknown option ${show(name)}`, '', `${hint}Known options: ${known.join(', ')}.`);
  }
  return options as Record<string, unknown>;
}

function whole(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    bad(`option ${name} is not acceptable`, `got ${show(value)}`, `Give a whole number from ${least} to ${most}.`);
  }
  return value;
}

function segmentSize(value: unknown, name: string): number {
  const bytes = parseSize(value, `option ${name}`, 'ERR_HEAP_BAD_OPTION', LEAST_SEGMENT);
  if (bytes > MOST_SEGMENT) {
    bad(`option ${name} is not acceptable`, `${bytes} bytes`, 'A segment has at most 1 TiB (2^40 bytes).');
  }
  return bytes;
}

/**
 * Checks options of `attach`.
 *
 * @returns the options that were given, ready for the core
 * @throws ERR_HEAP_BAD_OPTION. Any thread; does not block.
 */
export function checkAttachOptions(options: unknown): { attachTimeout?: number; lockTimeout?: number } {
  const given = checkNames(options, ATTACH_NAMES);
  const checked: { attachTimeout?: number; lockTimeout?: number } = {};
  for (const name of ATTACH_NAMES) {
    if (given[name] !== undefined) checked[name] = whole(given[name], name, 0, LONGEST_TIMEOUT);
  }
  return checked;
}

/**
 * Checks options of `create`. Nothing has been made when it throws.
 *
 * @returns the options that were given, in bytes and sorted by the layer that takes them
 * @throws ERR_HEAP_BAD_OPTION. Any thread; does not block.
 */
export function checkHeapOptions(options: unknown): CheckedOptions {
  const given = checkNames(options, HEAP_NAMES);
  const { attachTimeout, lockTimeout, store, regionSize, limit, participants, segments } = given;
  const dsm: CheckedOptions['dsm'] = checkAttachOptions({ attachTimeout, lockTimeout });
  if (store !== undefined) {
    const name = STORES.find((known) => known === store);
    if (name === undefined) {
      const guess = typeof store === 'string' ? nearest(store, STORES) : undefined;
      bad(
        'option store is not acceptable',
        `got ${show(store)}`,
        `Did you mean '${guess ?? 'region'}'? Known stores: region, buffers.`,
      );
    }
    dsm.store = name;
  }
  if (regionSize !== undefined)
    dsm.regionSize = parseSize(regionSize, 'option regionSize', 'ERR_HEAP_BAD_OPTION', LEAST_REGION);
  if (participants !== undefined) dsm.participants = whole(participants, 'participants', 1, MOST_PARTICIPANTS);
  if (segments !== undefined) dsm.segments = whole(segments, 'segments', 1, MOST_SEGMENTS);
  const bytes = limit === undefined ? undefined : parseSize(limit, 'option limit', 'ERR_HEAP_BAD_OPTION', 0);
  return { dsm, area: areaOptions(given), limit: bytes };
}

function flag(value: unknown, name: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? true;
  return bad(`option ${name} is not acceptable`, `got ${show(value)}`, 'Give true or false.');
}

function areaOptions(given: Readonly<Record<string, unknown>>): CheckedOptions['area'] {
  const cache = flag(given['cache'], 'cache');
  const area: CheckedOptions['area'] = { fallback: true, cache, checks: flag(given['checks'], 'checks') };
  const { initSegmentSize: first, maxSegmentSize: most } = given;
  if (first !== undefined) area.initSegmentSize = segmentSize(first, 'initSegmentSize');
  if (most !== undefined) area.maxSegmentSize = segmentSize(most, 'maxSegmentSize');
  const largest = area.maxSegmentSize ?? MOST_SEGMENT;
  const initial = area.initSegmentSize ?? Math.min(DEFAULT_FIRST_SEGMENT, largest);
  if (initial > largest) {
    bad(
      'option initSegmentSize exceeds maxSegmentSize',
      `${initial} > ${largest}`,
      'Lower the one or raise the other.',
    );
  }
  if (initial < DEFAULT_FIRST_SEGMENT) area.initSegmentSize = initial;
  return area;
}

/**
 * Checks options of `alloc`.
 *
 * @returns the options as they were given
 * @throws ERR_HEAP_BAD_OPTION. Any thread; does not block.
 */
export function checkAllocOptions(options: unknown): AllocOptions {
  const given = checkNames(options, ALLOC_NAMES);
  for (const name of ALLOC_NAMES) {
    const value = given[name];
    if (value !== undefined && typeof value !== 'boolean') {
      bad(`option ${name} is not acceptable`, `got ${show(value)}`, 'Give true or false.');
    }
  }
  return given;
}
