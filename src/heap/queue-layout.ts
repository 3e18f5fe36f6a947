/**
 * A queue of the heap in shared memory: a control of four double cache lines, and the ring behind it.
 *
 *     0          128              256                 384            512
 *     | frozen   | those who send | those who receive | who waits    | ring: capacity bytes ...
 *
 * The parts that different threads write lie on lines of their own, two each, since processors fetch neighbours in
 * pairs. `tail` and `head` count bytes since the queue was made, modulo 2^32; the capacity is a power of two, so a
 * byte's place in the ring is its number masked, and the difference of two counters is exact.
 *
 * A message is a header of 8 bytes (length; mark) and its bytes, padded to 8. The mark is the message's own position,
 * disguised: a header that was overwritten, or read at a wrong place, does not match. A header is never split, since
 * everything is a multiple of 8; the bytes may wrap around.
 *
 *     head ≤ tail ≤ head + capacity;  messages between head and tail = sent - received, while no lock is held
 */

import { array, dp, i32, lock, struct, u32 } from '../layout/layout.js';

/** Marks a queue's control, and its block. Change it with the layout. */
export const QUEUE_MAGIC = 0x71756575;
/** Disguises positions in headers, so that a zeroed ring holds no valid header at position 0. */
export const HEADER_MARK = 0x6d657373;

/** Control of a queue. */
export const QueueControl = struct(
  'heap_queue',
  'sharedheap',
  {
    magic: i32('frozen: written before the queue is found by its name'),
    capacity: u32('frozen: bytes of the ring, a power of two'),
    reserved0: array(30, i32('zero')),
    send_lock: lock('tail, head_seen, sent, closed, and the free part of the ring'),
    tail: i32('atomic: position behind the last message; written under send_lock, read by those who receive'),
    head_seen: i32('under send_lock, plain: a head that was seen; never ahead of head'),
    sent: i32('written under send_lock, plain; read for reports: messages ever sent, modulo 2^32'),
    closed: i32('atomic: 0, then 1 for ever; written under send_lock, or by anybody when its holder is gone'),
    reserved1: array(24, i32('zero')),
    receive_lock: lock('head, tail_seen, received, and the filled part of the ring'),
    head: i32('atomic: position of the first message; written under receive_lock, read by those who send'),
    tail_seen: i32('under receive_lock, plain: a tail that was seen; never ahead of tail'),
    received: i32('written under receive_lock, plain; read for reports: messages ever received, modulo 2^32'),
    reserved2: array(25, i32('zero')),
    receive_wait: i32('atomic, futex word: 1 = somebody waits for a message; who sets it to 0 must notify one'),
    receive_waiters: i32('atomic: threads that wait for a message; killed ones stay counted'),
    send_wait: i32('atomic, futex word: as receive_wait, for room'),
    send_waiters: i32('atomic: as receive_waiters, for room'),
    reserved3: array(28, i32('zero')),
  },
  512,
);

/** What the queue's name leads to: where the control is, and what every user of the queue must agree on. */
export const QueueBlock = struct(
  'heap_queue_block',
  'sharedheap',
  {
    magic: i32('frozen: written by the initialisation of the name'),
    capacity: u32('frozen, as magic: bytes of the ring'),
    control: dp('frozen, as magic: pointer of the control'),
    codec: array(12, u32('frozen, as magic: name of the codec in UTF-8, zero padded')),
  },
  64,
);

/** Longest name of a codec in bytes. */
export const MAX_CODEC_NAME = 47;
