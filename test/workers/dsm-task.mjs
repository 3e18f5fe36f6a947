/** Tasks of a pool whose threads join a cluster at their first task and never leave it. */
import { threadId, workerData } from 'node:worker_threads';
import { Dsm } from '../../dist/dsm/dsm.js';
import { LWLock } from '../../dist/sync/sync.js';

const { cluster, shared } = workerData;
let dsm;

export default function task({ lock = false } = {}) {
  if (dsm === undefined) {
    dsm = Dsm.join(cluster);
    const segment = dsm.attach(shared);
    Atomics.add(segment.i32, 100, 1);
    dsm.create(5000).i32.fill(threadId);
    const pinned = dsm.create(100);
    pinned.pinSegment();
    dsm.unpinSegment(pinned.handle);
    if (lock) new LWLock(dsm.participant, { i32: segment.i32, ns: shared }, 0).acquire();
  }
  return threadId;
}
