/**
 * What a heap says about itself: numbers and findings as plain data that goes through JSON and structured clone.
 *
 * Collected from the area and its cluster, which take their locks one after the other; so the numbers of one report may
 * be moments apart while other threads allocate.
 */

import type { ClassStats, DsaArea, VerifyReport } from '../dsa/dsa.js';
import type { Dsm, Finding } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import type { Registry, RegistryReport } from '../registry/registry.js';
import type { NamedObjects } from './named.js';
import { checkNames } from './options.js';
import { show } from './sizes.js';
import { type NamedReport, verifyNamed } from './verify-named.js';

/** Numbers about a heap; sizes in bytes. Live, free and metadata bytes add up to {@link segmentBytes}. */
export interface HeapStats {
  /** Where segments live. */
  readonly store: 'region' | 'buffers';
  /**
   * Address space taken: the reservation, or control memory and all buffers. What was never touched is not resident.
   */
  readonly reservedBytes: number;
  /** What was asked for; more than {@link reservedBytes} when the engine refused it. */
  readonly wantedBytes: number;
  /** Bytes that were ever in use: an upper bound of what is resident. */
  readonly touchedBytes: number;
  /** Segments of the heap. */
  readonly segments: number;
  /** Sizes of all segments together (PostgreSQL's total_segment_size). */
  readonly segmentBytes: number;
  /** No segment is added beyond this total; null for no limit. */
  readonly limit: number | null;
  /** Objects that are allocated now. */
  readonly liveObjects: number;
  /** Usable sizes of all live objects together. */
  readonly liveBytes: number;
  /** Room for further objects in the segments there are. */
  readonly freeBytes: number;
  /** The part of it that participants keep at hand for themselves; see the option `cache`. */
  readonly cachedBytes: number;
  /** The rest of the segments: control block, page maps, descriptors. */
  readonly metadataBytes: number;
  /** Bytes outside of segments: control memory, object states, rounding to pages. */
  readonly overheadBytes: number;
  /** Locks, queues, maps and other things that have a name, of all threads together. */
  readonly names: number;
  /** Sizes of the segments that hold names and the control blocks behind them; 0 before the first name. */
  readonly registryBytes: number;
  /** Size classes in use, ascending; larger objects have pages of their own and are not listed. */
  readonly perClass: readonly ClassStats[];
  /** Attachments at the moment, of all threads. */
  readonly participants: number;
  /** Most attachments at one time. */
  readonly participantsMax: number;
  /** Most segments at one time. */
  readonly segmentsMax: number;
}

/** A rule that the shared structures break (`error`), or something unusual that is allowed (`note`). */
export type HeapFinding = Finding;

/** Result of `heap.verify()`. */
export interface HeapReport {
  /** True when no error was found; notes do not count. */
  readonly ok: boolean;
  /** How many single checks were made. */
  readonly checks: number;
  /** What was found, at most ten of a kind; empty in a heap that is in order. */
  readonly findings: readonly HeapFinding[];
  /** Pages and descriptors that PostgreSQL's algorithms lose by design, counted. */
  readonly losses: VerifyReport['losses'];
}

/** Options of `heap.verify`. */
export interface VerifyOptions {
  /**
   * True (default): no other participant is using the heap; all checks, without locks. False: others may be at work;
   * locks are taken one after the other, and what holds only at rest is left out.
   */
  quiescent?: boolean | undefined;
}

/** Collects {@link HeapStats}. May block on the locks of the heap, one after the other. */
export function heapStats(area: DsaArea, dsm: Dsm, registry: Registry | null): HeapStats {
  const { store, reservedBytes, wantedBytes, touchedBytes, controlBytes, ...cluster } = dsm.stats();
  const { segments, totalSegmentSize, limit, liveObjects, liveBytes, ...rest } = area.stats();
  return {
    store,
    reservedBytes,
    wantedBytes,
    touchedBytes,
    segments,
    segmentBytes: totalSegmentSize,
    limit,
    liveObjects,
    liveBytes,
    freeBytes: rest.freeBytes,
    cachedBytes: rest.cachedBytes,
    metadataBytes: rest.metadataBytes,
    overheadBytes: controlBytes + rest.overheadBytes,
    names: registry === null ? 0 : registry.root.table.size,
    registryBytes: registry === null ? 0 : registry.root.area.getTotalSize(),
    perClass: rest.perClass,
    participants: cluster.participants,
    participantsMax: cluster.participantsMax,
    segmentsMax: cluster.slotsMax,
  };
}

const NOTHING: NamedReport = { checks: 0, findings: [] };

/** Runs all checks. Bounded, whatever is in the memory. */
export function verifyHeap(
  dsm: Dsm,
  area: DsaArea,
  named: NamedObjects,
  options: VerifyOptions | undefined,
): HeapReport {
  const { quiescent = true } = checkNames(options, ['quiescent']);
  if (typeof quiescent !== 'boolean') {
    throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'option quiescent is not acceptable', {
      detail: `got ${show(quiescent)}`,
      hint: 'Give true or false.',
    });
  }
  const heap = area.verify({ quiescent });
  const names = verifyNames(named, quiescent);
  if (names === null) return pick(heap.ok, heap.checks, heap.findings, heap.losses);
  const { rootPages, spanObjects, regionPages } = heap.losses;
  // A damaged registry leads nowhere.
  const registry = names.ok ? named.existing() : null;
  const things = registry === null ? NOTHING : verifyNamed(dsm, area, registry, quiescent);
  const findings = [...heap.findings, ...names.findings, ...things.findings];
  const ok = heap.ok && names.ok && !things.findings.some(({ severity }) => severity === 'error');
  return pick(ok, heap.checks + names.checks + things.checks, findings, {
    rootPages: rootPages + names.losses.rootPages,
    spanObjects: spanObjects + names.losses.spanObjects,
    regionPages,
  });
}

function pick(ok: boolean, checks: number, findings: HeapReport['findings'], losses: HeapReport['losses']): HeapReport {
  return { ok, checks, findings, losses };
}

/** The registry's own findings, or that it cannot be had; null when the heap has none. */
function verifyNames(named: NamedObjects, quiescent: boolean): RegistryReport | null {
  try {
    return named.existing()?.verify({ quiescent }) ?? null;
  } catch (error) {
    const finding = { id: 'R1', severity: 'error', message: `the registry cannot be had: ${String(error)}` } as const;
    return {
      ok: false,
      checks: 1,
      findings: [finding],
      unlisted: 0,
      names: 0,
      losses: { rootPages: 0, spanObjects: 0 },
    };
  }
}
