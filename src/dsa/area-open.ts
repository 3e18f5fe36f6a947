/** The question that every method of an area asks first: is this participant still attached? */

import { SharedHeapError } from '../errors/errors.js';
import type { AreaState } from './state.js';

/** The error of a call on an area that is detached here. */
export function closedError(): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_CLOSED', 'this participant is detached from the area', {
    hint: 'Attach again by the handle of the area, or by its place.',
  });
}

/** @throws ERR_HEAP_CLOSED */
export function requireAttached(s: AreaState): void {
  if (!s.attached || s.p.closed) throw closedError();
}
