/**
 * One of several threads that allocate, write, hand objects over and free what others have allocated.
 *
 * It imitates: long-lived objects beside short ones; a thread that frees only what it is given; bursts that make
 * superblocks and segments, and take them away again at once; trimming while others allocate; tides: now and then all is
 * freed, and the segments that the ebb has left go while the next flood begins.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { fill, meet, randomFrom, randomSize, Ring, verify } from './dsa-ring.mjs';

const { cluster, handle, rings, threads, me, tides, iterations, seed } = workerData;
const dsm = Dsm.join(cluster);
const area = DsaArea.attach(dsm, handle);
const random = randomFrom(seed + me);
const outgoing = Array.from({ length: threads }, (_, to) => new Ring(rings, threads, me, to));
const incoming = Array.from({ length: threads }, (_, from) => new Ring(rings, threads, from, me));
const mine = [];
const done = { allocated: 0, freed: 0, received: 0, refused: 0 };
let serial = 0;

function make(size) {
  const object = { pointer: area.allocate(size), size, seed: (me << 24) | (serial++ & 0xffffff) };
  done.allocated++;
  fill(area, object);
  return object;
}

function destroy(object) {
  verify(area, object);
  area.free(object.pointer);
  done.freed++;
}

/** Hands the object to another thread, or keeps it when that one's ring is full. */
function giveAway(object) {
  if (!outgoing[random(threads)].push(object)) mine.push(object);
}

function takeOut(at) {
  const object = mine[at];
  mine[at] = mine.at(-1);
  mine.pop();
  return object;
}

function receive() {
  const object = incoming[random(threads)].pop();
  if (object === null) return;
  done.received++;
  verify(area, object);
  const fate = random(10);
  if (fate < 6) destroy(object);
  else if (fate < 8) giveAway(object);
  else mine.push(object);
}

/** Frees what is surely not the start of a live object: inside one of mine, in the metadata, between two words. */
function freeWrongly() {
  const object = mine[random(mine.length)];
  if (object === undefined) return;
  const inside = 8 * (1 + random(Math.max(1, area.sizeOf(object.pointer) / 8 - 1)));
  const wrong = [object.pointer + inside, object.pointer + 4, 8 * random(900), 2 ** 50 + object.pointer][random(4)];
  if (wrong === object.pointer + inside && area.sizeOf(object.pointer) === 8) return;
  let code = 'nothing';
  try {
    area.free(wrong);
  } catch (error) {
    code = /** @type {{ code: string }} */ (error).code;
  }
  if (!/^ERR_HEAP_(INTERIOR|MISALIGNED|FOREIGN)/.test(code)) throw new Error(`free of ${wrong.toString(16)}: ${code}`);
  verify(area, object);
  done.refused++;
}

/** Superblocks of one class, filled and emptied at once: segments come and go with them. */
function burst(count) {
  const size = [8192, 4096, 3000, 64][random(4)];
  const objects = Array.from({ length: count }, () => make(size));
  for (const object of objects) destroy(object);
  if (random(3) === 0) area.trim();
}

function flood() {
  for (let k = 0; k < iterations; k++) {
    const what = random(100);
    if (what < 40) giveAway(make(randomSize(random)));
    else if (what < 75) receive();
    else if (what < 96) {
      if (mine.length > 0) destroy(takeOut(random(mine.length)));
    } else if (what < 98) freeWrongly();
    else burst(40);
    while (mine.length > 60) destroy(takeOut(random(mine.length)));
  }
}

/** Frees everything, with all the others: between the two meetings nobody hands anything over. */
function ebb(turn) {
  for (const object of mine.splice(0)) destroy(object);
  meet(rings, threads, turn, () => dsm.attend());
  for (const ring of incoming) {
    for (let object = ring.pop(); object !== null; object = ring.pop()) destroy(object);
  }
  meet(rings, threads, turn + 1, () => dsm.attend());
}

for (let tide = 0; tide < tides; tide++) {
  flood();
  ebb(2 * tide + 1);
  burst(80);
  area.trim();
}
area.detach();
dsm.leave();
parentPort?.postMessage(done);
