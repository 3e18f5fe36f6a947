/**
 * Where nobody can tell which threads live: no /proc. Main and its workers are started with the same blindness; what
 * main finds is printed.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, threadId, Worker, workerData } from 'node:worker_threads';

const { getBuiltinModule } = process;
process.getBuiltinModule = (name) => (name === 'node:fs' ? undefined : getBuiltinModule(name));
const { Dsm } = await import('../../dist/dsm/dsm.js');

async function guest(cluster, shared) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { cluster, shared } });
  const { threadId: id } = worker;
  await once(worker, 'message');
  return {
    id,
    async end() {
      const exit = once(worker, 'exit');
      await worker.terminate();
      await exit;
    },
  };
}

function codeOf(action) {
  try {
    action();
    return 'nothing';
  } catch (caught) {
    const error = /** @type {import('../../dist/errors/errors.js').SharedHeapError} */ (caught);
    return `${error.code}: ${error.detail}`;
  }
}

async function run(store) {
  const report = {};
  const dsm = Dsm.create({ store, regionSize: 2 ** 24, participants: 3 });
  const shared = dsm.create(100);
  const facts = () => [dsm.stats().participants, ...dsm.stats().segments.map((s) => s.references)];
  const guests = [await guest(dsm.handle, shared.handle), await guest(dsm.handle, shared.handle)];
  report.alive = facts();
  for (const one of guests) await one.end();
  report.ended = facts();
  report.full = codeOf(() => Dsm.join(dsm.handle));
  report.strangers = [dsm.markDead(threadId), dsm.markDead(2 ** 31 - 1)];
  report.first = [dsm.markDead(guests[0].id), ...facts()];
  report.again = dsm.markDead(guests[0].id);
  report.joined = codeOf(() => Dsm.join(dsm.handle).leave());
  report.second = [dsm.markDead(guests[1].id), ...facts()];
  shared.detach();
  report.empty = facts();
  dsm.leave();
  return report;
}

if (isMainThread) {
  console.log(JSON.stringify({ region: await run('region'), buffers: await run('buffers') }));
} else {
  const dsm = Dsm.join(workerData.cluster);
  dsm.attach(workerData.shared);
  dsm.create(20_000);
  parentPort?.postMessage('joined');
  setInterval(() => {}, 1000);
}
