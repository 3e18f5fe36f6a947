/**
 * Resource owners: scopes that give mappings back when they end (PostgreSQL, utils/resowner).
 *
 * Private to one participant, so no lock. A mapping is remembered by the owner that is current when it is made, and
 * detached when that owner is released, newest first; children are released before their parent.
 */

import { SharedHeapError } from '../errors/errors.js';
import type { Dsm } from './cluster.js';
import type { DsmSegment } from './segment.js';

/** A scope for mappings. Make it current with `dsm.currentOwner = owner`. */
export class ResourceOwner {
  /** For messages only. */
  readonly name: string;
  private readonly parent: ResourceOwner | null;
  private readonly children: ResourceOwner[] = [];
  private readonly segments: DsmSegment[] = [];
  private released = false;

  /**
   * @param dsm the participant whose mappings it will own
   * @param name for messages
   * @param parent the owner that releases this one with itself; default none
   * @throws ERR_HEAP_CLOSED when the parent is released already
   */
  constructor(dsm: Dsm, name: string, parent: ResourceOwner | null = null) {
    if (parent !== null) parent.requireOpen();
    dsm.requireOpen();
    this.name = String(name);
    this.parent = parent;
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
    if (at >= 0) this.segments.splice(at, 1);
  }

  /**
   * Ends the scope: detaches every mapping that it still owns, newest first, children before parents.
   *
   * Follows ResourceOwnerRelease + ResourceOwnerDelete. May block on the DSM control lock.
   *
   * @param isCommit true when the scope ends in the ordinary way; then a mapping still owned is a leak, counted in the result
   * @returns the number of mappings detached
   * @throws what the detach callbacks throw: the first such error, after everything was detached
   */
  release(isCommit = false): number {
    if (this.released) return 0;
    let detached = 0;
    let first: unknown;
    let failed = false;
    const attempt = (action: () => number): void => {
      try {
        detached += action();
      } catch (error) {
        if (!failed) first = error;
        failed = true;
      }
    };
    for (let i = this.children.length - 1; i >= 0; i--) {
      const child = this.children[i]!;
      attempt(() => child.release(isCommit));
    }
    this.released = true;
    for (let segment = this.segments.pop(); segment !== undefined; segment = this.segments.pop()) {
      const victim = segment;
      attempt(() => {
        victim.detach();
        return 1;
      });
    }
    const siblings = this.parent?.children;
    if (siblings !== undefined) siblings.splice(siblings.indexOf(this), 1);
    if (failed) throw first;
    return detached;
  }
}
