/** Jobs of worker threads for the tests in test/toc. */

import { parentPort, workerData } from 'node:worker_threads';
import { threadIdentity } from '../../dist/platform/platform.js';
import { Toc } from '../../dist/toc/toc.js';

const { job, a, me, times } = workerData;

if (job === 'hold') {
  // As a thread leaves it that is killed inside a change.
  Atomics.store(new BigInt64Array(a.buffer), 1, threadIdentity());
  parentPort.postMessage('held');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
} else {
  const toc = Toc.attach(1, a, 0);
  for (let n = 0; n < times; n++) {
    const at = toc.allocate(1 + (n % 32));
    a[at / 4] = me * times + n + 1;
    toc.insert(me * times + n, at);
  }
}
