/**
 * Resource owners: scopes that give mappings back when they end (PostgreSQL, utils/resowner).
 *
 * Private to one participant, so no lock. A mapping is remembered by the owner that is current when it is made, and
 * detached when that owner is released, newest first; children are released before their parent. Detach callbacks run
 * meanwhile and may detach, pin or release what they like: an owner that is being released takes nothing new, so the
 * lists only get shorter.
 */

import { SharedHeapError, show } from '../errors/errors.js';
import type { DsmSegment, Thrown } from './segment.js';
import { DsmSession } from './session.js';

/**
 * In which order an owner detaches: `newest` first, as PostgreSQL has done since 17, or as the `array` that it used
 * before (up to 64 mappings): always the first entry, and the last one takes the place of any that is removed.
 */
export type ReleaseOrder = 'newest' | 'array';

/** A scope for mappings. Make it current with `dsm.currentOwner = owner`. */
export class ResourceOwner {
  /** For messages only. */
  readonly name: string;
  /** The participant whose mappings it owns. @internal */
  readonly dsm: DsmSession;
  private readonly parent: ResourceOwner | null;
  private readonly order: ReleaseOrder;
  private readonly children: ResourceOwner[] = [];
  private readonly segments: DsmSegment[] = [];
  private released = false;

  /**
   * @param dsm the participant whose mappings it will own
   * @param name for messages
   * @param parent the owner that releases this one with itself; default none
   * @param order of the mappings at release; default `newest`
   * @throws ERR_HEAP_CLOSED when the parent is released already, or the participant has left
   * @throws ERR_HEAP_BAD_ARGUMENT when `dsm` or `parent` are something else, or belong to different participants
   */
  constructor(dsm: DsmSession, name: string, parent: ResourceOwner | null = null, order: ReleaseOrder = 'newest') {
    if (!(dsm instanceof DsmSession)) badArgument('dsm is not a participant');
    if (typeof name !== 'string') badArgument('the name is not a string');
    if (parent !== null && !(parent instanceof ResourceOwner && parent.dsm === dsm)) {
      badArgument('the parent is not a resource owner of the same participant');
    }
    if (order !== 'newest' && order !== 'array') badArgument(`unknown order ${show(order)}`);
    dsm.requireOpen();
    parent?.requireOpen();
    this.name = name;
    this.dsm = dsm;
    this.parent = parent;
    this.order = order;
    parent?.children.push(this);
  }

  /** @internal */
  requireOpen(): void {
    if (this.released) {
      throw new SharedHeapError('ERR_HEAP_CLOSED', `resource owner ${this.name} was released`, {
        hint: 'Make a new one for a new scope.',
      });
    }
  }

  /** @internal */
  remember(segment: DsmSegment): void {
    this.segments.push(segment);
  }

  /** @internal */
  forget(segment: DsmSegment): void {
    const at = this.segments.lastIndexOf(segment);
    if (at < 0) return;
    if (this.order === 'newest') this.segments.splice(at, 1);
    else this.fillGap(at);
  }

  private fillGap(at: number): void {
    const last = this.segments.pop()!;
    if (at < this.segments.length) this.segments[at] = last;
  }

  /** Removes the mapping whose turn it is to be detached. */
  private take(): DsmSegment | undefined {
    if (this.order === 'newest') return this.segments.pop();
    const first = this.segments[0];
    if (first !== undefined) this.fillGap(0);
    return first;
  }

  /**
   * Ends the scope: detaches every mapping that it still owns, newest first, children before parents. A second call
   * does nothing.
   *
   * Follows ResourceOwnerRelease + ResourceOwnerDelete. May block on the DSM control lock.
   *
   * @param isCommit true when the scope ends in the ordinary way; then a mapping still owned is a leak, counted in the result
   * @returns the number of mappings detached
   * @throws what the detach callbacks throw, or ERR_HEAP_LOCK_STALLED: the first such error, after everything was detached
   */
  release(isCommit = false): number {
    if (this.released) return 0;
    this.released = true;
    let detached = 0;
    let first: Thrown | null = null;
    for (let child = this.children.pop(); child !== undefined; child = this.children.pop()) {
      try {
        detached += child.release(isCommit);
      } catch (error) {
        first ??= { error };
      }
    }
    for (let segment = this.take(); segment !== undefined; segment = this.take()) {
      detached++;
      try {
        segment.detach();
      } catch (error) {
        first ??= { error };
      }
    }
    const siblings = this.parent?.children ?? [];
    const at = siblings.indexOf(this);
    if (at >= 0) siblings.splice(at, 1);
    if (first !== null) throw first.error;
    return detached;
  }
}

function badArgument(detail: string): never {
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a resource owner cannot be made of this', { detail });
}
