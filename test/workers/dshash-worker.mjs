/**
 * One of several threads on one hash table of text keys with a number each.
 *
 * `mine` keys are this thread's alone, inserted, read, changed and partly deleted; `shared` keys are everybody's, and
 * each is raised `rounds` times by every thread; now and then the table is scanned.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { DshashTable, stringKeys } from '../../dist/dshash/dshash.js';
import { Dsm } from '../../dist/dsm/dsm.js';

const { cluster, area: areaHandle, table: handle, me, mine, shared, rounds } = workerData;
const NUMBER = 6;
const dsm = Dsm.join(cluster);
const area = DsaArea.attach(dsm, areaHandle);
const table = DshashTable.attach(area, { ...stringKeys(24), entrySize: 32, trancheId: 61 }, handle);

function fail(what) {
  throw new Error(`thread ${me}: ${what}`);
}

function change(key, by) {
  const entry = table.findOrInsert(key);
  if (entry === 0) return fail('no memory');
  const old = table.found ? table.words[table.entryWord + NUMBER] : 0;
  table.words[table.entryWord + NUMBER] = old + by;
  table.releaseLock(entry);
  return old;
}

function read(key) {
  const entry = table.find(key, false);
  if (entry === 0) return undefined;
  const value = table.words[table.entryWord + NUMBER];
  table.releaseLock(entry);
  return value;
}

function scan() {
  let n = 0;
  const scan = table.scan(false);
  while (scan.next() !== 0) n++;
  scan.term();
  return n;
}

let atLeast = 0;
for (let round = 0; round < rounds; round++) {
  for (let k = 0; k < shared; k++) change(`shared ${k}`, 1);
  const from = Math.floor((round * mine) / rounds);
  const to = Math.floor(((round + 1) * mine) / rounds);
  for (let k = from; k < to; k++) if (change(`${me} ${k}`, k) !== 0) fail(`${k} was there`);
  for (let k = from; k < to; k++) if (read(`${me} ${k}`) !== k) fail(`${k} is ${read(`${me} ${k}`)}`);
  for (let k = from; k < to; k += 3) if (!table.deleteKey(`${me} ${k}`)) fail(`${k} is gone`);
  for (let k = from; k < to; k++) if ((read(`${me} ${k}`) === undefined) !== ((k - from) % 3 === 0)) fail(`at ${k}`);
  // Keys that are only ever added by anybody: a scan sees those of this thread and all shared ones.
  atLeast += to - from - Math.ceil((to - from) / 3);
  if (round % 8 === 0 && scan() < atLeast + shared) fail('the scan missed entries');
}
table.detach();
area.detach();
dsm.leave();
parentPort?.postMessage({ left: atLeast });
