/**
 * One of several threads that use a cluster at random: joins and leaves, creates and attaches, pins and unpins. Every
 * segment holds its own handle in all its words, so that whoever attaches it can tell that it is the right one.
 *
 * The board is memory of the test: a ring of handles that were made lately, and for each thread its state and the
 * number of steps that it has done. A thread is ended by the test only while its state is IDLE.
 */
import { workerData } from 'node:worker_threads';
import { Dsm } from '../../dist/dsm/dsm.js';
import { BOARD } from './dsm-board.mjs';

const { cluster, me, seed, steps } = workerData;
/** @type {Int32Array} */
const board = workerData.board;
const state = BOARD.states + me;
let random = seed >>> 0;
const below = (n) => {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  return Math.floor((random / 2 ** 32) * n);
};

/** Participants of this thread, each with its segments. */
const members = [];

function fail(what) {
  throw new Error(`thread ${me}: ${what}`);
}

function join() {
  members.push({ dsm: Dsm.join(cluster), held: [] });
}

function create({ dsm, held }) {
  const size = below(8) === 0 ? 1 + below(200_000) : 1 + below(12_000);
  const segment = dsm.create(size, 1);
  if (segment === null) return;
  for (const word of segment.i32) if (word !== 0) fail('a new segment is not zero');
  segment.i32.fill(segment.handle | 0);
  held.push(segment);
  if (below(4) === 0) segment.pinSegment();
  Atomics.store(board, BOARD.ring + (Atomics.add(board, BOARD.next, 1) & BOARD.mask), segment.handle | 0);
}

function attach({ dsm, held }) {
  const handle = Atomics.load(board, BOARD.ring + below(BOARD.mask + 1)) >>> 0;
  if (handle === 0 || dsm.findMapping(handle) !== null) return;
  const segment = dsm.attach(handle);
  if (segment !== null) held.push(segment);
}

function check({ held }) {
  if (held.length === 0) return;
  /** @type {import('../../dist/dsm/dsm.js').DsmSegment} */
  const { i32, handle } = held[below(held.length)];
  // Whoever attached may see it before its creator has filled it: then it is zero as yet.
  const first = Atomics.load(i32, 0);
  if (first !== 0 && first !== (handle | 0)) fail(`segment ${handle} holds ${first}`);
  if (first !== 0 && i32.length > 1 && ![0, handle | 0].includes(i32[below(i32.length)])) fail('mixed contents');
}

function unpin({ dsm }) {
  const handle = Atomics.load(board, BOARD.ring + below(BOARD.mask + 1)) >>> 0;
  if (handle === 0) return;
  try {
    dsm.unpinSegment(handle);
  } catch (caught) {
    const error = /** @type {import('../../dist/errors/errors.js').SharedHeapError} */ (caught);
    if (!['ERR_HEAP_NOT_PINNED', 'ERR_HEAP_SEGMENT_GONE'].includes(error.code)) throw error;
  }
}

function step() {
  if (members.length === 0) return join();
  const member = members[below(members.length)];
  const what = below(100);
  if (what < 30) return create(member);
  if (what < 55) return attach(member);
  if (what < 85)
    return member.held.length === 0
      ? create(member)
      : void member.held.splice(below(member.held.length), 1)[0].detach();
  if (what < 92) return unpin(member);
  if (what < 94 && members.length < 2) return join();
  if (what < 95) {
    member.dsm.leave();
    members.splice(members.indexOf(member), 1);
    return undefined;
  }
  return check(member);
}

/** Waits until the gate is open, and answers others meanwhile. */
function rest() {
  Atomics.store(board, state, BOARD.IDLE);
  while (Atomics.load(board, BOARD.gate) === 0) {
    for (const { dsm } of members) dsm.attend();
    Atomics.wait(board, BOARD.gate, 0, 2);
  }
  Atomics.store(board, state, BOARD.BUSY);
}

for (let done = 0; done < steps; done++) {
  if (done % 100 === 0) rest();
  step();
  Atomics.add(board, BOARD.steps, 1);
}
// Every other thread leaves, the rest ends without a word.
if (me % 2 === 0) for (const { dsm } of members) dsm.leave();
Atomics.store(board, state, BOARD.DONE);
