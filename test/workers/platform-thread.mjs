/** A thread that tells its identity, then lives on as `role` says: in its event loop, spinning, or parked for good. */
import { parentPort, workerData } from 'node:worker_threads';
import { jsThreadId, park, threadAlive, threadIdentity } from '../../dist/platform/platform.js';

const { role, other } = workerData;
parentPort?.postMessage({ identity: threadIdentity(), id: jsThreadId(), other: other && threadAlive(other) });

if (role === 'spin') for (;;);
if (role === 'park') park(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Infinity);
if (role === 'loop') setInterval(() => {}, 1000);
