/**
 * The message queue in shared memory: 56 bytes and the ring behind them.
 *
 *     0        8          16       24           32              40          48         52      56
 *     | waits  | receiver | sender | bytes_read | bytes_written | ring_size | detached | magic | ring ...
 *
 * Each message is a length of 8 bytes and its bytes, padded to 8. The counters only grow; a byte lies in the ring at its
 * number modulo the ring's size, which is a multiple of 8, so a length is never split.
 *
 * No lock. Where PostgreSQL has a spinlock to set sender and receiver, each is set by one compare-and-exchange here, and
 * its 8 bytes are the words that the two sides wait on. Of a counter, the other side reads the low word only: the
 * difference of two counters is below 2^32, so it is exact in 32 bits; the high word is for the owner and for reports.
 */

import { i32, size, struct } from '../layout/layout.js';

/** Bytes of a message at most: PostgreSQL's MaxAllocSize. A longer one cannot be reassembled in one piece there. */
export const MAX_MQ_MESSAGE = 2 ** 30 - 1;
/** Smallest queue: PostgreSQL's shm_mq_minimum_size, a ring of 8 bytes. */
export const MINIMUM_MQ_SIZE = 64;
/** Largest queue: differences of counters must fit 32 bits, and every engine makes byte views of this size. */
export const MAX_MQ_SIZE = 2 ** 31;
/** Marks a queue; no other structure of this library has it. */
export const MQ_MAGIC = 0x7368716d;

/** Header of a queue. */
export const MqControl = struct(
  'shm_mq',
  'shm_mq.c',
  {
    sender_wait: i32('atomic, futex word: 1 = the sender waits; written by it; who sets it to 0 must notify'),
    receiver_wait: i32('atomic, futex word: 1 = the receiver waits; written by it; who sets it to 0 must notify'),
    receiver: size('atomic (BigInt64): slot + 1 and, in the high half, generation of a participant; 0 until set, once'),
    sender: size('atomic (BigInt64): as receiver'),
    bytes_read: size(
      'written by the receiver only: high word plain, then low word atomic; the sender reads the low one',
    ),
    bytes_written: size('written by the sender only: as bytes_read'),
    ring_size: size('frozen: written by create()'),
    detached: i32('atomic: 0, then 1 for ever; written by either side, or by anybody who ends the queue'),
    magic: i32('frozen: written by create()'),
  },
  56,
);

/** Word offsets of fields, from the start of the queue. */
export const SENDER_WAIT = MqControl.sender_wait / 4;
export const RECEIVER_WAIT = MqControl.receiver_wait / 4;
export const BYTES_READ = MqControl.bytes_read / 4;
export const BYTES_WRITTEN = MqControl.bytes_written / 4;
export const DETACHED = MqControl.detached / 4;
/** Bytes in front of the ring. */
export const MQ_HEADER_BYTES = MqControl.SIZEOF;
