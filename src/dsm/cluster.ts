/**
 * Dsm: one participant's door to dynamic shared memory (PostgreSQL, storage/ipc/dsm.c).
 *
 * A *cluster* is one control segment with the segments it names; a Dsm is one participant of it, with mappings of its
 * own. A thread may hold several. This file checks what comes from outside and throws; the work under the DSM control
 * lock is in session.ts.
 */

import { SharedHeapError } from '../errors/errors.js';
import { LW_EXCLUSIVE, lwlockAcquire, lwlockPoison, lwlockRelease, type Participant } from '../sync/sync.js';
import { buildCluster, type ClusterParts, type DsmOptions, joinCluster } from './bootstrap.js';
import { CONTROL_LOCK, CONTROL_NS, controlLockFailure } from './failures.js';
import { dropAllReferences } from './references.js';
import { ResourceOwner } from './resource-owner.js';
import type { DsmSegment, Thrown } from './segment.js';
import { DsmSession } from './session.js';
import { type ClusterStats, clusterStats } from './stats.js';
import { type DsmClusterHandle, MAX_TIMEOUT, requireInteger, requireObject, requireSegmentSize } from './validate.js';

/** Flag of {@link Dsm.create}: null instead of an error when all slots are in use. */
export const DSM_CREATE_NULL_IF_MAXSEGMENTS = 1;

const MAX_THREAD_ID = 2 ** 31 - 1;

/** One participant of a cluster. */
export class Dsm extends DsmSession {
  /**
   * Makes a new cluster and joins it as its first participant. Any thread; does not block.
   *
   * @param options see {@link DsmOptions}
   * @throws ERR_HEAP_BAD_OPTION, ERR_HEAP_HOST_LIMIT, ERR_HEAP_UNSUPPORTED (`buffers` outside Node)
   */
  static create(options: DsmOptions = {}): Dsm {
    const parts = buildCluster(options);
    return Dsm.enter(parts, parts.lockTimeout);
  }

  /**
   * Joins a cluster that another participant made, after taking back the slots, mappings and references of
   * participants whose threads are gone. Any thread; may block on the DSM control lock.
   *
   * @param handle `dsm.handle` of any participant
   * @param options `lockTimeout` and `attachTimeout` in ms, by default those of the creator
   * @throws ERR_HEAP_BAD_HANDLE, ERR_HEAP_BAD_OPTION, ERR_HEAP_VERSION, ERR_HEAP_PARTICIPANT_SLOTS, ERR_HEAP_UNSUPPORTED,
   *   ERR_HEAP_LOCK_STALLED
   */
  static join(
    handle: DsmClusterHandle,
    options: { lockTimeout?: number | undefined; attachTimeout?: number | undefined } = {},
  ): Dsm {
    requireObject(options);
    const { lockTimeout, attachTimeout } = options;
    for (const [name, ms] of Object.entries({ lockTimeout, attachTimeout })) {
      if (ms !== undefined) requireInteger(ms, 0, MAX_TIMEOUT, name, 'ERR_HEAP_BAD_OPTION');
    }
    const parts = joinCluster(handle, attachTimeout);
    return Dsm.enter(parts, lockTimeout ?? parts.lockTimeout);
  }

  private static enter(parts: ClusterParts, lockTimeout: number): Dsm {
    try {
      const participant = parts.table.join({ lockTimeout, release: (gone) => releaseMappings(parts, gone) });
      return new Dsm(parts, participant);
    } catch (error) {
      parts.impl.close();
      throw error;
    }
  }

  /** What another thread needs to join; made afresh at each read, so that it holds every buffer known now. */
  get handle(): DsmClusterHandle {
    this.requireOpen();
    this.impl.attend();
    const { storeKind: store } = this;
    const { memory: control, attachTimeout, lockTimeout } = this.parts;
    return { v: 1, kind: 'sharedheap.dsm', store, control, segments: this.impl.known(), attachTimeout, lockTimeout };
  }

  /** Owner of mappings made from now on; null means until the end of the session. */
  get currentOwner(): ResourceOwner | null {
    return this.owner;
  }

  /** @throws ERR_HEAP_BAD_ARGUMENT for anything but null and an owner of this participant's */
  set currentOwner(owner: ResourceOwner | null) {
    if (owner !== null && !(owner instanceof ResourceOwner && owner.dsm === this)) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'not a resource owner of this participant', {
        hint: 'Make it with `new ResourceOwner(dsm, name)` for the same `dsm`.',
      });
    }
    this.owner = owner;
  }

  /** Before a new mapping is made: leaving must come to an end, also when detach callbacks would rather go on. */
  private requireStaying(): void {
    this.requireOpen();
    if (this.leaving) {
      throw new SharedHeapError('ERR_HEAP_CLOSED', 'this participant is leaving the cluster', {
        hint: 'Detach callbacks cannot make new mappings.',
      });
    }
  }

  /**
   * Creates a segment and maps it here. All bytes are zero. Follows dsm_create.
   *
   * @param size bytes, 1 .. 2^40
   * @param flags 0 or {@link DSM_CREATE_NULL_IF_MAXSEGMENTS}
   * @returns the mapping, owned by {@link currentOwner}; null only with the flag, when all slots are in use
   * @throws ERR_HEAP_BAD_SIZE, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_SEGMENT_SLOTS, ERR_HEAP_OUT_OF_MEMORY,
   *   ERR_HEAP_LOCK_STALLED, ERR_HEAP_CLOSED (also when the current owner was released), ERR_HEAP_CORRUPT
   */
  create(size: number | bigint, flags = 0): DsmSegment | null {
    this.requireStaying();
    const bytes = requireSegmentSize(size);
    requireInteger(flags, 0, DSM_CREATE_NULL_IF_MAXSEGMENTS, 'flags');
    const segment = this.tryCreate(bytes, 0, true, false, this.openOwner());
    if (segment !== null) return segment;
    if (this.failure === 'slots' && flags === DSM_CREATE_NULL_IF_MAXSEGMENTS) return null;
    throw this.failureError(`segment of ${bytes} bytes`);
  }

  /**
   * Maps a segment that another participant made. Follows dsm_attach.
   *
   * @param handle of the segment
   * @returns the mapping, or null when the segment no longer exists
   * @throws ERR_HEAP_ALREADY_ATTACHED, ERR_HEAP_BAD_HANDLE, ERR_HEAP_SEGMENT_UNREACHABLE (`buffers`),
   *   ERR_HEAP_LOCK_STALLED, ERR_HEAP_CLOSED (also when the current owner was released), ERR_HEAP_CORRUPT
   */
  attach(handle: number): DsmSegment | null {
    this.requireStaying();
    requireInteger(handle, 1, 0xffffffff, 'segment handle', 'ERR_HEAP_BAD_HANDLE');
    const segment = this.tryAttach(handle, this.openOwner());
    if (segment === null && this.failure !== 'gone') throw this.failureError(`segment ${handle}`);
    return segment;
  }

  /**
   * This participant's mapping of a segment, or null. Does not block. Follows dsm_find_mapping.
   *
   * @throws ERR_HEAP_BAD_HANDLE, ERR_HEAP_CLOSED
   */
  findMapping(handle: number): DsmSegment | null {
    this.requireOpen();
    requireInteger(handle, 1, 0xffffffff, 'segment handle', 'ERR_HEAP_BAD_HANDLE');
    return this.mappings.get(handle) ?? null;
  }

  /**
   * Undoes {@link DsmSegment.pinSegment}; destroys the segment when nobody maps it. Works on segments that are not
   * mapped here. Follows dsm_unpin_segment.
   *
   * @param handle of the segment
   * @throws ERR_HEAP_SEGMENT_GONE, ERR_HEAP_NOT_PINNED, ERR_HEAP_BAD_HANDLE, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT
   */
  unpinSegment(handle: number): void {
    this.requireOpen();
    requireInteger(handle, 1, 0xffffffff, 'segment handle', 'ERR_HEAP_BAD_HANDLE');
    const outcome = this.tryUnpin(handle);
    if (outcome === 'done') return;
    if (outcome === 'lock' || outcome === 'corrupt') throw this.failureError(`unpin of segment ${handle}`);
    const known = outcome === 'not pinned';
    throw new SharedHeapError(
      known ? 'ERR_HEAP_NOT_PINNED' : 'ERR_HEAP_SEGMENT_GONE',
      known ? 'cannot unpin a segment that is not pinned' : 'cannot unpin unknown segment handle',
      { detail: `segment ${handle}` },
    );
  }

  /**
   * Answers what other participants have asked for on `buffers`; nothing to do on `region`. Does not block.
   *
   * @throws ERR_HEAP_CLOSED
   */
  attend(): void {
    this.requireOpen();
    this.answer();
  }

  /**
   * Declares a JavaScript thread gone, where the library cannot see that for itself, and takes back what it left; see
   * `heap.watch`. Any thread; may block on the DSM control lock.
   *
   * @param jsThread its `threadId`
   * @returns the number of participants that were not known to be gone before
   * @throws ERR_HEAP_LOCK_STALLED when its references could not be taken back now; the next join tries again
   */
  markDead(jsThread: number): number {
    this.requireOpen();
    const marked = this.table.markDead(requireInteger(jsThread, 0, MAX_THREAD_ID, 'thread id'));
    // Also when it was known before: knowing alone takes nothing back.
    this.takeBack();
    return marked;
  }

  /** Taking back is the first thing that a joiner does; so somebody joins, and leaves at once. */
  private takeBack(): void {
    const { lockTimeout } = this.participant;
    try {
      this.table.join({ lockTimeout, release: (gone) => releaseMappings(this.parts, gone) }).leave();
    } catch (error) {
      // Then all that could be taken back was, and no slot came free: the gone have held locks.
      if (!(error instanceof SharedHeapError && error.code === 'ERR_HEAP_PARTICIPANT_SLOTS')) throw error;
    }
  }

  /**
   * Sizes, segments and participants of the cluster, as plain data. May block on the DSM control lock.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED, ERR_HEAP_POISONED
   */
  stats(): ClusterStats {
    this.requireOpen();
    const participants = this.table.liveCount();
    if (!this.lock()) throw this.failureError('stats');
    const stats = clusterStats(this.parts, participants);
    this.unlock();
    return stats;
  }

  /**
   * Leaves the cluster: detaches every mapping, newest first, and frees the participant slot. Idempotent. May block on the
   * DSM control lock. Follows dsm_backend_shutdown.
   *
   * @throws ERR_HEAP_LOCK_HELD while locks are held; nothing has changed then
   * @throws ERR_HEAP_LOCK_STALLED when references could not be given back. The mappings are gone, but the participant
   *   remains, so that nothing is lost: call it again, or end the thread
   * @throws the first error of a detach callback, after everything was done
   */
  leave(): void {
    if (this.left) return;
    this.requireNoLocks();
    this.leaving = true;
    // What was put off before. Where it fails again, others void it once this participant is gone.
    for (const holding of this.holdings.values()) if (!holding.released) holding.retry?.();
    let thrown: Thrown | null = null;
    for (let newest = this.newest(); newest !== undefined; newest = this.newest()) {
      const last = newest.end();
      thrown ??= last;
    }
    if (this.owes && !this.settle()) {
      throw this.failureError('leaving the cluster');
    }
    this.participant.leave();
    this.left = true;
    this.holdings.clear();
    this.impl.close();
    if (thrown !== null) throw thrown.error;
  }
}

/** Gives back all references of a participant that is gone, acting in its slot; see ParticipantTable.join. */
function releaseMappings(parts: ClusterParts, gone: Participant): void {
  const { control, slots, impl } = parts;
  if (lwlockAcquire(gone, control, CONTROL_LOCK, CONTROL_NS, LW_EXCLUSIVE) === 0) throw controlLockFailure(gone);
  if (!dropAllReferences(slots, impl, gone)) lwlockPoison(gone, control, CONTROL_LOCK, CONTROL_NS);
  lwlockRelease(gone, control, CONTROL_LOCK, CONTROL_NS);
  impl.sweep();
}
