/**
 * Run with --expose-gc. Segments on `buffers` go back to the operating system when the last reference goes and every
 * thread that had the buffer has collected garbage. Printed: MiB above the start after each step.
 */
import { Worker } from 'node:worker_threads';
import { setTimeout as sleep } from 'node:timers/promises';
import { once } from 'node:events';
import { Dsm } from '../../dist/dsm/dsm.js';
import { residentBytes } from '../../dist/platform/platform.js';
import { BOX, newMailbox, waitForAnswer } from './dsm-mailbox.mjs';

const MIB = 2 ** 20;
const size = Number(process.argv[2]) * MIB;
const dsm = Dsm.create({ store: 'buffers' });
const box = newMailbox();
const worker = new Worker(new URL('dsm-worker.mjs', import.meta.url), { workerData: { cluster: dsm.handle, box } });
waitForAnswer(box, 0);

function call(op, ...args) {
  const seen = Atomics.load(box, BOX.answers);
  worker.postMessage({ op, args });
  return waitForAnswer(box, seen);
}

/** Collects in both threads until memory has fallen to `goal`, or time is up. */
async function collected(goal) {
  for (let round = 0; round < 100 && above() > goal; round++) {
    globalThis.gc?.();
    call('collect');
    await sleep(20);
  }
  return above();
}

const resident = () => residentBytes() ?? Number.NaN;
globalThis.gc?.();
const start = resident();
const above = () => Math.round((resident() - start) / MIB);
const report = { kept: [] };

// Objects that users keep do not keep the memory.
const mine = dsm.create(size);
mine.i32.fill(1);
const handle = mine.handle;
call('read', handle);
report.both = above();
mine.detach();
report.workerHasIt = await collected(0.3 * report.both);
call('detach', handle);
report.released = await collected(0.3 * report.both);
report.buffers = [dsm.stats().segments.length, call('buffers')];

// The worker alone makes and drops them; main only ever hears of them.
for (let round = 0; round < 4; round++) {
  const other = call('create', size, 2);
  call('detach', other);
  report.kept.push(await collected(0.3 * report.both));
}
// One that main still has mapped, made by a thread that has gone.
const last = call('create', size, 3);
const still = dsm.attach(last);
call('leave');
const exit = once(worker, 'exit');
await worker.terminate();
await exit;
report.mapped = above();
report.readable = [0, 1000, still.i32.length - 1].every((i) => still.i32[i] === 3);
still.detach();
for (let round = 0; round < 100 && above() > 0.3 * report.both; round++) {
  globalThis.gc?.();
  await sleep(20);
}
report.alone = above();
dsm.leave();
console.log(JSON.stringify(report));
