/**
 * Making a queue, or finding it by its name.
 *
 * Stands on named blocks, whose initialisation is run once however many threads ask, and on the heap's area, in which
 * control and ring are one object: so the memory of a queue comes from where all memory of the heap comes from, and
 * counts against its limit. The block holds the pointer and what all users must agree on.
 *
 * Memory runs out: the initialisation fails before anything was written, and the name stays free. A thread that is killed
 * in it leaves an object that nobody knows, at most.
 */

import { DSA_ALLOC_HUGE } from '../dsa/dsa.js';
import { SharedHeapError } from '../errors/errors.js';
import { type DsaPointer, ld64, st64 } from '../layout/layout.js';
import type { NamedBlock } from '../registry/registry.js';
import { lwlockInitialize, TRANCHE_HEAP_QUEUE_RECEIVE, TRANCHE_HEAP_QUEUE_SEND } from '../sync/sync.js';
import { LAST_SEGMENT, SPAN } from './memory.js';
import type { NamedSeam } from './named.js';
import { type CodecName, CODECS, type QueueCodec } from './queue-codec.js';
import { QUEUE_MAGIC, QueueBlock, QueueControl } from './queue-layout.js';
import { type CheckedQueueOptions, DEFAULT_CAPACITY } from './queue-options.js';
import { type QueuePlace, QueueRing } from './queue-ring.js';

/** A queue that is there, and how its values are encoded. */
export interface OpenedQueue {
  readonly place: QueuePlace;
  readonly codec: CodecName | QueueCodec<unknown>;
}

const CODEC_WORD = QueueBlock.codec / 4;
const CODEC_BYTES = QueueBlock.SIZEOF - QueueBlock.codec;

function nameOf(codec: CodecName | QueueCodec<unknown>): string {
  return typeof codec === 'string' ? codec : codec.name;
}

function writeCodec({ i32, word }: NamedBlock, name: string): void {
  const bytes = new TextEncoder().encode(name);
  for (let i = 0; i < CODEC_BYTES; i += 4) {
    const at = [3, 2, 1, 0].reduce((packed, k) => (packed << 8) | (bytes[i + k] ?? 0), 0);
    i32[word + CODEC_WORD + i / 4] = at;
  }
}

function readCodec({ i32, word }: NamedBlock): string {
  const bytes: number[] = [];
  for (let i = 0; i < CODEC_BYTES; i++) {
    const byte = (i32[word + CODEC_WORD + (i >> 2)]! >>> ((i & 3) * 8)) & 255;
    if (byte === 0) break;
    bytes.push(byte);
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/** Makes control and ring, and tells the block of them. */
function initialise({ area }: NamedSeam, block: NamedBlock, capacity: number, codec: string): void {
  const pointer = area.allocate(QueueControl.SIZEOF + capacity, DSA_ALLOC_HUGE);
  const segment = Math.floor(pointer / SPAN);
  const words = area.resolve(segment);
  if (words.length === 0) {
    const error = area.resolveError('queue', pointer);
    area.free(pointer);
    throw error;
  }
  const control = (pointer - segment * SPAN) / 4;
  words.fill(0, control, control + QueueControl.SIZEOF / 4);
  words[control + QueueControl.magic / 4] = QUEUE_MAGIC;
  words[control + QueueControl.capacity / 4] = capacity;
  lwlockInitialize(words, control + QueueControl.send_lock / 4, TRANCHE_HEAP_QUEUE_SEND);
  lwlockInitialize(words, control + QueueControl.receive_lock / 4, TRANCHE_HEAP_QUEUE_RECEIVE);
  const { i32, word } = block;
  i32[word + QueueBlock.magic / 4] = QUEUE_MAGIC;
  i32[word + QueueBlock.capacity / 4] = capacity;
  st64(i32, word + QueueBlock.control / 4, pointer);
  writeCodec(block, codec);
}

function damaged(name: string, detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_CORRUPT', `the queue ${JSON.stringify(name)} is damaged`, { detail });
}

/** Where the queue of a block lies for this participant. */
function placeOf({ dsm, area }: NamedSeam, name: string, { i32, word }: NamedBlock): QueuePlace {
  const capacity = i32[word + QueueBlock.capacity / 4]!;
  const pointer = ld64(i32, word + QueueBlock.control / 4) as DsaPointer;
  const segment = Math.floor(pointer / SPAN);
  if (i32[word + QueueBlock.magic / 4] !== QUEUE_MAGIC || segment > LAST_SEGMENT) throw damaged(name, 'its block');
  const words = area.resolve(segment);
  if (words.length === 0) throw area.resolveError(`queue ${JSON.stringify(name)}`, pointer);
  const control = (pointer - segment * SPAN) / 4;
  const end = control + (QueueControl.SIZEOF + capacity) / 4;
  const sound =
    end <= words.length &&
    words[control + QueueControl.magic / 4] === QUEUE_MAGIC &&
    words[control + QueueControl.capacity / 4] === capacity;
  if (!sound) throw damaged(name, `no control at ${pointer}`);
  const ns = area.lockSpace(segment);
  return { participant: dsm.participant, tranches: dsm.tranches, words, ns, word: control, capacity };
}

/**
 * The ring of a queue, to check it.
 *
 * @throws ERR_HEAP_CORRUPT, ERR_HEAP_SEGMENT_UNREACHABLE
 */
export function attachQueueToCheck(home: NamedSeam, name: string, block: NamedBlock): QueueRing {
  return new QueueRing(placeOf(home, name, block));
}

function conflict(name: string, option: string, is: string, wanted: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_OPTION', `the queue ${JSON.stringify(name)} has another ${option}`, {
    detail: `it is ${is}, not ${wanted}`,
    hint: 'Give the same options in every thread, or leave them out where the queue is there already.',
  });
}

/**
 * Compares what is there with what was asked for.
 *
 * @throws ERR_HEAP_BAD_OPTION. Does not block.
 */
export function requireAgreement(
  name: string,
  is: { readonly capacity: number; readonly codec: string },
  wanted: CheckedQueueOptions,
): void {
  if (wanted.capacity !== undefined && wanted.capacity !== is.capacity) {
    throw conflict(name, 'capacity', `${is.capacity} bytes`, `${wanted.capacity}`);
  }
  if (wanted.codec !== undefined && nameOf(wanted.codec) !== is.codec) {
    throw conflict(name, 'codec', JSON.stringify(is.codec), JSON.stringify(nameOf(wanted.codec)));
  }
}

/** The codec that a queue was made with, when it is built in. */
function builtInCodec(name: string, codec: string): CodecName {
  const known = CODECS.find((one) => one === codec);
  if (known !== undefined) return known;
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', `the queue ${JSON.stringify(name)} needs its codec`, {
    detail: `it was made with the codec ${JSON.stringify(codec)}`,
    hint: 'Pass the same codec object that made it.',
  });
}

/**
 * Finds the queue of this name, or makes it. Any attached thread; may block on locks of the heap, and for another thread
 * that makes the same queue.
 *
 * @throws ERR_HEAP_BAD_OPTION when it is there with other options, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_CORRUPT,
 *   ERR_HEAP_LOCK_STALLED, ERR_HEAP_SEGMENT_UNREACHABLE, and what named blocks throw
 */
export function openQueue(home: NamedSeam, name: string, wanted: CheckedQueueOptions): OpenedQueue {
  const capacity = wanted.capacity ?? DEFAULT_CAPACITY;
  const block = home.registry.block(name, 'queue', QueueBlock.SIZEOF, (fresh) =>
    initialise(home, fresh, capacity, nameOf(wanted.codec ?? 'json')),
  );
  const place = placeOf(home, name, block);
  const codec = readCodec(block);
  requireAgreement(name, { capacity: place.capacity, codec }, wanted);
  return { place, codec: wanted.codec ?? builtInCodec(name, codec) };
}
