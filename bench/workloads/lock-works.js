/** Works of two threads that want one LWLock. It lies in the memory of the flags. */

import { LW_EXCLUSIVE, LW_SHARED, lwlockAcquire, lwlockRelease } from 'sharedheap/core';
import { WORDS } from './crew-words.js';

const BLOCK = 256;

/** @param {import('./crew-thread.js').Thread} thread @returns {Record<string, () => import('./crew-thread.js').Work>} */
export function makeLockWorks({ loops, words }) {
  /** @param {import('sharedheap/core').LWLockMode} mode */
  const locking = (mode) => () => {
    const { dsm } = /** @type {{ dsm?: import('sharedheap/core').Dsm }} */ (loops.allocator);
    if (dsm === undefined) throw new Error('only a thread of a DsaArea knows locks');
    return {
      block() {
        for (let i = 0; i < BLOCK; i++) {
          lwlockAcquire(dsm.participant, words, WORDS.LOCK, 0, mode);
          lwlockRelease(dsm.participant, words, WORDS.LOCK, 0);
        }
        return BLOCK;
      },
    };
  };
  return { lockExclusive: locking(LW_EXCLUSIVE), lockShared: locking(LW_SHARED) };
}
