/** Queues in one thread: codecs, order, room, closing, waiting, what is refused. */

import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { SharedHeap } from '../../dist/heap/heap.js';
import { isSharedHeapError } from '../../dist/errors/errors.js';
import type { QueueCodec } from '../../dist/heap/queue-codec.js';
import { QueueControl } from '../../dist/heap/queue-layout.js';
import type { SharedQueue } from '../../dist/heap/queue.js';
import { verifyArea } from '../../dist/dsa/dsa.js';
import { closeSound, codeOf, STORES, textOf } from './helpers.js';
import { makeQueueWorld, type QueueWorld } from './queue-world.js';

const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) + seed * 31) >>> 11);

async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isSharedHeapError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

const DATE: QueueCodec<Date> = {
  name: 'date',
  encode: (date) => new Uint8Array(new Float64Array([date.getTime()]).buffer),
  decode: (bytes) => new Date(new Float64Array(bytes.buffer)[0]!),
};

const TAIL = QueueControl.tail / 4;
const HEAD = QueueControl.head / 4;

let worlds: QueueWorld[] = [];
function world(store: 'region' | 'buffers' = 'region', limit?: number): QueueWorld {
  const made = makeQueueWorld(store, limit);
  worlds.push(made);
  return made;
}
afterEach(async () => {
  for (const made of worlds) {
    const report = verifyArea(made.area);
    expect(report.findings).toEqual([]);
    await made.end();
  }
  worlds = [];
});

describe.each(STORES)('a queue on %s', (store) => {
  it('hands values on in order', () => {
    const queue = world(store).open();
    const values = [1, 'two', { three: [3, null, true] }, null, '', 'ä€😀', 'x'.repeat(5000)];
    for (const value of values) queue.send(value);
    expect(queue.size).toBe(values.length);
    for (const value of values) expect(queue.receive()).toEqual(value);
    expect([queue.size, queue.used, queue.tryReceive()]).toEqual([0, 0, undefined]);
    expect([queue.capacity, queue.codec, queue.name]).toEqual([256 * 1024, 'json', 'q']);
    expect(queue.verify()).toEqual([]);
  });

  it('is one queue for all who open it', () => {
    const w = world(store);
    const [one, two, other] = [w.open(), w.open(), w.open({}, 'other')];
    one.send('a');
    expect(other.tryReceive()).toBe(undefined);
    expect(two.size).toBe(1);
    expect(two.receive()).toBe('a');
    expect(one.size).toBe(0);
  });
});

describe('codecs', () => {
  it('bytes: any length, copies at both ends', () => {
    const queue = world().open<Uint8Array>({ codec: 'bytes', capacity: 4096 });
    for (let length = 0; length <= 300; length++) {
      const sent = pattern(length, length);
      queue.send(sent);
      sent.fill(0);
      const got = queue.receive()!;
      expect(got).toEqual(pattern(length, length));
      expect(got.buffer.byteLength).toBe(length);
      expect(queue.verify()).toEqual([]);
    }
    const long = pattern(4088, 1);
    queue.send(long);
    expect(queue.receive()).toEqual(long);
  });

  it('bytes: views into larger memory, shared and growing', () => {
    const queue = world().open<Uint8Array>({ codec: 'bytes' });
    const shared = new Uint8Array(new SharedArrayBuffer(1000)).fill(7);
    const growing = new Uint8Array(new (ArrayBuffer as any)(100, { maxByteLength: 200 })).fill(3);
    for (const bytes of [shared, shared.subarray(100, 400), shared.subarray(1, 30), growing, Buffer.from('abc')]) {
      queue.send(bytes);
      expect(queue.receive()).toEqual(Uint8Array.from(bytes));
    }
  });

  it('string: every text but lone surrogates', () => {
    const queue = world().open<string>({ codec: 'string', capacity: 4096 });
    const texts = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 70 }));
    fc.assert(
      fc.property(texts, (text) => {
        queue.send(text);
        expect(queue.receive()).toBe(text);
      }),
    );
    queue.send('\ud800');
    expect(queue.receive()).toBe('\ufffd');
    queue.send('\ufefftext');
    expect(queue.receive()).toBe('\ufefftext');
  });

  it('json: what JSON holds', () => {
    const queue = world().open();
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        queue.send(value);
        expect(queue.receive()).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(codeOf(() => queue.send(undefined))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => queue.send(() => 1))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(() => queue.send(1n)).toThrow(TypeError);
    expect(queue.size).toBe(0);
  });

  it('clone: maps, dates, bytes, cycles', () => {
    const queue = world().open<any>({ codec: 'clone' });
    const value: any = { map: new Map([[1, new Set(['a'])]]), at: new Date(5), big: 2n ** 70n, bytes: pattern(100, 1) };
    value.self = value;
    queue.send(value);
    queue.send('next');
    const got = queue.receive();
    queue.receive();
    expect(got.map).toEqual(value.map);
    expect(got.at).toEqual(value.at);
    expect(got.big).toBe(value.big);
    expect(Uint8Array.from(got.bytes)).toEqual(value.bytes);
    expect(got.self).toBe(got);
    expect(codeOf(() => queue.send(undefined))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(() => queue.send(() => 1)).toThrow('could not be cloned');
  });

  it('of the program: the same for all, and its errors pass', () => {
    const w = world();
    const queue = w.open<Date>({ codec: DATE });
    queue.send(new Date(42));
    expect(queue.receive()).toEqual(new Date(42));
    expect(queue.codec).toBe('date');
    expect(codeOf(() => w.open())).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => w.open({ codec: 'json' }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(w.open<Date>({ codec: DATE }).capacity).toBe(queue.capacity);
    const broken: QueueCodec<number> = {
      name: 'broken',
      encode: (n) => (n === 0 ? (undefined as never) : Uint8Array.of(n)),
      decode: ([n]) => {
        if (n === 2) throw new RangeError('two');
        return n!;
      },
    };
    const other = w.open<number>({ codec: broken }, 'other');
    expect(codeOf(() => other.send(0))).toBe('ERR_HEAP_BAD_ARGUMENT');
    for (const n of [1, 2, 3]) other.send(n);
    expect(other.receive()).toBe(1);
    expect(() => other.receive()).toThrow('two');
    expect(other.receive()).toBe(3);
    expect(other.verify()).toEqual([]);
  });

  it('of the program may use the queue itself', () => {
    const w = world();
    const box: { queue?: SharedQueue<number> } = {};
    const codec: QueueCodec<number> = {
      name: 'own',
      encode: (n) => (n > 0 && box.queue!.send(n - 1), Uint8Array.of(n)),
      decode: ([n]) => n!,
    };
    const queue = w.open<number>({ codec });
    box.queue = queue;
    queue.send(3);
    expect([queue.receive(), queue.receive(), queue.receive(), queue.receive()]).toEqual([0, 1, 2, 3]);
  });
});

describe('room', () => {
  it('is what an array of bounded size would have, for random sizes', async () => {
    const step = fc.oneof(fc.nat(250), fc.constant('receive' as const), fc.constant('into' as const));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const w = makeQueueWorld('region');
        const queue = w.open<Uint8Array>({ codec: 'bytes', capacity: 512 });
        const model: Uint8Array[] = [];
        const target = new Uint8Array(300);
        const cost = (n: number) => 8 + Math.ceil(n / 8) * 8;
        let used = 0;
        let seed = 0;
        for (const s of steps) {
          if (typeof s === 'number') {
            const message = pattern(s, ++seed);
            const fits = used + cost(s) <= 512;
            expect(queue.trySend(message)).toBe(fits);
            if (fits) {
              model.push(message);
              used += cost(s);
            }
          } else {
            const expected = model.shift();
            if (s === 'receive') {
              expect(queue.tryReceive()).toEqual(expected);
            } else {
              const n = queue.tryReceiveInto(target);
              expect(n).toBe(expected?.length ?? -1);
              if (n >= 0) expect(target.subarray(0, n)).toEqual(expected);
            }
            if (expected !== undefined) used -= cost(expected.length);
          }
          expect([queue.size, queue.used]).toEqual([model.length, used]);
          expect(queue.verify()).toEqual([]);
        }
        await w.end();
      }),
    );
  });

  it('is waited for, until the time is over', async () => {
    const queue = world().open<string>({ codec: 'string', capacity: 256 });
    while (queue.trySend('12345678'));
    expect(queue.size).toBe(16);
    expect(codeOf(() => queue.send('x', { timeout: 5 }))).toBe('ERR_HEAP_TIMEOUT');
    expect(codeOf(() => queue.send('x', { timeout: 0 }))).toBe('ERR_HEAP_TIMEOUT');
    expect(await rejection(queue.sendAsync('x', { timeout: 5 }))).toBe('ERR_HEAP_TIMEOUT');
    const sent = queue.sendAsync('last');
    expect(queue.receive()).toBe('12345678');
    await sent;
    for (let n = 0; n < 15; n++) queue.receive();
    expect(queue.receive()).toBe('last');
  });

  it('several that wait for it in one thread all get it', async () => {
    const queue = world().open<Uint8Array>({ codec: 'bytes', capacity: 256 });
    queue.send(new Uint8Array(240));
    const all = Array.from({ length: 20 }, (_, n) => {
      const bytes = pattern(n * 10, n);
      const sent = queue.sendAsync(bytes);
      // What was given may be changed at once.
      bytes.fill(0);
      return sent;
    });
    const got: Uint8Array[] = [];
    queue.receive();
    while (got.length < all.length) got.push((await queue.receiveAsync())!);
    await Promise.all(all);
    got.sort((a, b) => a.length - b.length);
    for (const [n, bytes] of got.entries()) expect(bytes).toEqual(pattern(n * 10, n));
  });

  it('a message that never fits is refused', () => {
    const queue = world().open<Uint8Array>({ codec: 'bytes', capacity: 256 });
    expect(codeOf(() => queue.send(new Uint8Array(249)))).toBe('ERR_HEAP_BAD_SIZE');
    expect(codeOf(() => queue.trySend(new Uint8Array(1e6)))).toBe('ERR_HEAP_BAD_SIZE');
    expect(queue.trySend(new Uint8Array(248))).toBe(true);
    expect(queue.trySend(new Uint8Array(0))).toBe(false);
  });

  it('positions pass 32 bits', () => {
    const w = world();
    const queue = w.open<Uint8Array>({ codec: 'bytes', capacity: 256 });
    // Head and tail of an empty queue, moved to just below 2^31 and to just below 2^32.
    for (const start of [2 ** 31 - 64, -64]) {
      const { words, word } = w.place();
      for (const field of [TAIL, TAIL + 1, HEAD, HEAD + 1]) words[word + field] = start;
      for (let n = 0; n < 40; n++) {
        queue.send(pattern(n, n));
        expect(queue.receive()).toEqual(pattern(n, n));
        expect(queue.verify()).toEqual([]);
      }
      expect(words[word + TAIL]).not.toBe(start);
    }
  });
});

describe('receiving into memory', () => {
  it('leaves a message that does not fit where it is', () => {
    const queue = world().open<Uint8Array>({ codec: 'bytes' });
    for (const length of [10, 100]) {
      queue.send(pattern(length, 1));
      const small = new Uint8Array(length - 1);
      expect(codeOf(() => queue.receiveInto(small))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
      expect(textOf(() => queue.tryReceiveInto(small))).toContain(`${length} bytes, the target has ${length - 1}`);
      expect(small.every((byte) => byte === 0)).toBe(true);
      const target = new Uint8Array(new SharedArrayBuffer(200), 50, length);
      expect(queue.receiveInto(target)).toBe(length);
      expect(Uint8Array.from(target)).toEqual(pattern(length, 1));
    }
    expect(codeOf(() => queue.receiveInto(new Uint8Array(1), { timeout: 5 }))).toBe('ERR_HEAP_TIMEOUT');
    queue.close();
    expect([queue.receiveInto(new Uint8Array(1)), queue.tryReceiveInto(new Uint8Array(1))]).toEqual([-1, -1]);
  });
});

describe('the end', () => {
  it('comes after what was sent', async () => {
    const queue = world().open();
    queue.send(1);
    queue.send(2);
    queue.close();
    queue.close();
    expect([queue.closed, queue.ended]).toEqual([true, false]);
    expect(codeOf(() => queue.send(3))).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => queue.trySend(3))).toBe('ERR_HEAP_CLOSED');
    expect(await rejection(queue.sendAsync(3))).toBe('ERR_HEAP_CLOSED');
    expect(queue.receive()).toBe(1);
    expect(await queue.receiveAsync()).toBe(2);
    expect(queue.ended).toBe(true);
    expect([queue.receive(), queue.tryReceive(), await queue.receiveAsync()]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('wakes everybody who waits', async () => {
    const w = world();
    const [empty, full] = [w.open(), w.open<string>({ codec: 'string', capacity: 256 }, 'full')];
    while (full.trySend('x'));
    const receiving = [empty.receiveAsync(), empty.receiveAsync(), empty.receiveAsync()];
    const sending = [full.sendAsync('a'), full.sendAsync('b')].map(rejection);
    empty.close();
    full.close();
    expect(await Promise.all(receiving)).toEqual([undefined, undefined, undefined]);
    expect(await Promise.all(sending)).toEqual(['ERR_HEAP_CLOSED', 'ERR_HEAP_CLOSED']);
  });

  it('ends loops', async () => {
    const queue = world().open<number>({ capacity: 256 });
    const got: number[] = [];
    const loops = [0, 1].map(async () => {
      for await (const n of queue) got.push(n);
    });
    for (let n = 0; n < 500; n++) await queue.sendAsync(n);
    queue.close();
    await Promise.all(loops);
    expect(got.sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, n) => n));
  });

  it('of the heap ends waits too', async () => {
    const w = makeQueueWorld('region');
    const queue = w.open();
    const waiting = rejection(queue.receiveAsync());
    await w.end();
    expect(await waiting).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => queue.send(1))).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => queue.tryReceive())).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => queue.close())).toBe('ERR_HEAP_CLOSED');
  });
});

describe('waiting without blocking', () => {
  it('ends by a signal, which costs nobody a message', async () => {
    const queue = world().open();
    const abort = new AbortController();
    const reason = new Error('enough');
    const waiting = queue.receiveAsync({ signal: abort.signal });
    const other = queue.receiveAsync();
    const full = world().open<string>({ codec: 'string', capacity: 256 }, 'full');
    while (full.trySend('x'));
    const sending = full.sendAsync('y', { signal: abort.signal });
    sending.catch(() => {});
    setTimeout(() => abort.abort(reason), 2);
    const aborted = { code: 'ERR_HEAP_ABORTED', cause: reason };
    await expect(waiting).rejects.toMatchObject(aborted);
    await expect(sending).rejects.toMatchObject(aborted);
    await expect(queue.receiveAsync({ signal: abort.signal })).rejects.toMatchObject(aborted);
    await expect(queue.sendAsync(1, { signal: abort.signal })).rejects.toMatchObject(aborted);
    // The engine still counts the aborted one, and may wake it first.
    queue.send('for the other');
    expect(await other).toBe('for the other');
    const loop = (async () => {
      for await (const value of queue.messages({ signal: abort.signal })) return value;
      return 'ended';
    })();
    await expect(loop).rejects.toMatchObject(aborted);
    expect(full.size).toBe(16);
  });

  it('ends with its time', async () => {
    const queue = world().open();
    expect(await rejection(queue.receiveAsync({ timeout: 5 }))).toBe('ERR_HEAP_TIMEOUT');
    expect(await rejection(queue.receiveAsync({ timeout: 0 }))).toBe('ERR_HEAP_TIMEOUT');
    expect(codeOf(() => queue.receive({ timeout: 5 }))).toBe('ERR_HEAP_TIMEOUT');
  });

  it('lets timers have their turn while messages keep coming', async () => {
    const queue = world().open<number>();
    const timer = { fired: false };
    setTimeout(() => (timer.fired = true), 1);
    for (let n = 0; !timer.fired; n++) {
      if (n === 5_000_000) throw new Error('the timer never had its turn');
      await queue.sendAsync(1);
      await queue.receiveAsync();
    }
  });

  it('gives values that no other call has touched', async () => {
    const queue = world().open<string>({ codec: 'string' });
    const texts = Array.from({ length: 50 }, (_, n) => String.fromCharCode(65 + (n % 26)).repeat(60 + n));
    const waiting = texts.map(() => queue.receiveAsync());
    for (const text of texts) queue.send(text);
    expect((await Promise.all(waiting)).sort()).toEqual([...texts].sort());
  });
});

describe('bad input', () => {
  it('makes no queue', () => {
    const w = world();
    const before = w.area.dump();
    for (const capacity of [0, 255, -1, 0.5, 2 ** 30 + 1, '1mib', null, {}, Number.NaN]) {
      expect(codeOf(() => w.open({ capacity: capacity as never }))).toBe('ERR_HEAP_BAD_OPTION');
    }
    const whole = { name: 'x', encode: () => new Uint8Array(0), decode: () => 1 };
    const codecs = ['jsn', 5, null, {}, { ...whole, encode: 1 }, { ...whole, name: '' }, { ...whole, name: 'json' }];
    for (const codec of [...codecs, { ...whole, name: 'x'.repeat(48) }, { ...whole, name: 'a\0b' }]) {
      expect(codeOf(() => w.open({ codec: codec as never }))).toBe('ERR_HEAP_BAD_OPTION');
    }
    for (const options of [null, 5, 'json', [], { size: 1 }]) {
      expect(codeOf(() => w.open(options as never))).toBe('ERR_HEAP_BAD_OPTION');
    }
    expect(textOf(() => w.open({ codec: 'jsno' as never }))).toContain("Did you mean 'json'?");
    expect(w.area.dump()).toBe(before);
    expect(w.registry.allocations()).toEqual([]);
  });

  it('is told apart from what is there', () => {
    const w = world();
    const queue = w.open({ capacity: 1000, codec: 'string' });
    expect(queue.capacity).toBe(1024);
    expect(w.open({ capacity: 1024 }).codec).toBe('string');
    expect(codeOf(() => w.open({ capacity: 2048 }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => w.open({ codec: 'bytes' as never }))).toBe('ERR_HEAP_BAD_OPTION');
    queue.requireSame({ capacity: '1KiB' });
    queue.requireSame();
    expect(codeOf(() => queue.requireSame({ capacity: 512 }))).toBe('ERR_HEAP_BAD_OPTION');
  });

  it('sends and receives nothing', async () => {
    const w = world();
    const queues = [w.open<any>({ codec: 'bytes' }), w.open<any>({ codec: 'string' }, 's')];
    for (const queue of queues) {
      for (const value of [null, undefined, 5, {}, [], new ArrayBuffer(8), new Float64Array(1), Symbol('x')]) {
        expect(codeOf(() => queue.send(value))).toBe('ERR_HEAP_BAD_ARGUMENT');
        expect(codeOf(() => queue.trySend(value))).toBe('ERR_HEAP_BAD_ARGUMENT');
        expect(await rejection(queue.sendAsync(value))).toBe('ERR_HEAP_BAD_ARGUMENT');
        if (value !== undefined) expect(codeOf(() => queue.receiveInto(value as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      }
      expect(queue.size).toBe(0);
    }
    const queue = w.open<any>({}, 'json');
    queue.send(1);
    for (const options of [
      null,
      5,
      { timeout: -1 },
      { timeout: '5' },
      { timeout: Number.NaN },
      { time: 5 },
    ] as never[]) {
      expect(codeOf(() => queue.send(2, options))).toBe('ERR_HEAP_BAD_OPTION');
      expect(codeOf(() => queue.receive(options))).toBe('ERR_HEAP_BAD_OPTION');
      expect(codeOf(() => queue.receiveInto(new Uint8Array(9), options))).toBe('ERR_HEAP_BAD_OPTION');
      expect(await rejection(queue.sendAsync(2, options))).toBe('ERR_HEAP_BAD_OPTION');
      expect(await rejection(queue.receiveAsync(options))).toBe('ERR_HEAP_BAD_OPTION');
    }
    for (const signal of [null, 5, {}] as never[]) {
      expect(await rejection(queue.receiveAsync({ signal }))).toBe('ERR_HEAP_BAD_OPTION');
    }
    expect(codeOf(() => queue.receive({ signal: new AbortController().signal } as never))).toBe('ERR_HEAP_BAD_OPTION');
    expect([queue.size, queue.receive()]).toEqual([1, 1]);
  });

  it('damage is told, and nothing is taken', () => {
    const w = world();
    const queue = w.open<string>({ codec: 'string', capacity: 256 });
    queue.send('a');
    queue.send('b');
    const { words, word } = w.place();
    const ring = word + QueueControl.SIZEOF / 4;
    const [length, mark] = [words[ring]!, words[ring + 1]!];
    for (const [bad, badMark] of [
      [-1, mark],
      [1000, mark],
      [length, mark + 8],
    ] as const) {
      words[ring] = bad;
      words[ring + 1] = badMark;
      expect(codeOf(() => queue.receive())).toBe('ERR_HEAP_CORRUPT');
      expect(queue.verify()).toHaveLength(1);
    }
    words[ring] = length;
    words[ring + 1] = mark;
    words[word + QueueControl.sent / 4]!++;
    expect(queue.verify()).toEqual(['3 messages counted, 2 found']);
    words[word + QueueControl.sent / 4]!--;
    expect([queue.receive(), queue.receive()]).toEqual(['a', 'b']);
  });
});

describe('memory that runs out', () => {
  it('leaves names and heap as they were', () => {
    const w = world('region', 2 ** 18);
    expect(codeOf(() => w.open({ capacity: '1MiB' }))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    const before = w.area.dump();
    for (const capacity of ['1MiB', '1GiB', '256KiB']) {
      expect(codeOf(() => w.open({ capacity }))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(w.area.dump()).toBe(before);
      expect(w.registry.allocations()).toEqual([]);
    }
    w.open({ capacity: 1024 }).send(1);
  });
});

describe.each(STORES)('a heap on %s', (store) => {
  it('has queues by name', async () => {
    const heap = SharedHeap.create({ store });
    const queue = heap.queue<number[]>('jobs', { capacity: '64KiB' });
    expect(heap.queue('jobs')).toBe(queue);
    expect(codeOf(() => heap.queue('jobs', { capacity: '128KiB' }))).toBe('ERR_HEAP_BAD_OPTION');
    for (const name of ['', 'x'.repeat(128), 5, null]) {
      expect(codeOf(() => heap.queue(name as never))).toBe('ERR_HEAP_BAD_NAME');
    }
    const other = SharedHeap.attach(heap.handle);
    const there = other.queue<number[]>('jobs');
    expect([there.capacity, there.codec]).toEqual([65_536, 'json']);
    there.send([1, 2]);
    expect(queue.receive()).toEqual([1, 2]);
    const waiting = rejection(there.receiveAsync());
    other.close();
    expect(await waiting).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => other.queue('jobs'))).toBe('ERR_HEAP_CLOSED');
    queue.send([3]);
    expect(queue.size).toBe(1);
    closeSound(heap);
  });
});
