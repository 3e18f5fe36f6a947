/** Waits for what never comes, with nothing else to do; prints the code of the error. */

import * as sync from '../../dist/sync/sync.js';

const TABLE_AT = 4096;
const i32 = new Int32Array(new SharedArrayBuffer(TABLE_AT + sync.ParticipantTable.sizeof(2)));
const table = new sync.ParticipantTable(i32, TABLE_AT, 2);
table.initialize();
const [p, other] = [0, 1].map(() => table.join({ lockTimeout: 60_000, release: () => {} }));
const memory = { i32, ns: 0 };
const options = { timeout: 400 };

/** @type {Record<string, () => Promise<unknown>>} */
const waits = {
  lock() {
    new sync.LWLock(other, memory, 0).acquire();
    return new sync.LWLock(p, memory, 0).acquireAsync(sync.LW_EXCLUSIVE, options);
  },
  /** What its own thread holds, it waits for without an entry in a queue. */
  ownLock() {
    const lock = new sync.LWLock(p, memory, 0);
    lock.acquire();
    return lock.acquireAsync(sync.LW_EXCLUSIVE, options);
  },
  condition: () => new sync.ConditionVariable(p, memory, 64).waitForAsync(() => false, options),
  barrier() {
    sync.Barrier.initialize(memory, 128, 2);
    return new sync.Barrier(p, memory, 128).arriveAndWaitAsync(options);
  },
};

try {
  await waits[process.argv[2]]();
} catch (error) {
  console.log(/** @type {{ code?: string }} */ (error).code);
}
