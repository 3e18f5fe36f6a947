/** One thread, several exchanges: what the messages do, and in which order they may come. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BufferExchange, buffersSupported, CONFIRM_AFTER_MS } from '../../dist/platform/platform.js';
import { AT, exchangeOptions } from '../workers/platform-shared.mjs';

let memory: SharedArrayBuffer;
let words: Int32Array;
let name: string;
let serial = 0;
const opened: { close(): void }[] = [];

beforeEach(() => {
  memory = new SharedArrayBuffer(4096);
  words = new Int32Array(memory);
  name = `unit ${process.pid} ${serial++}`;
});

afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});

function open(known: [number, SharedArrayBuffer][] = [], attachTimeout = 100): BufferExchange {
  const exchange = new BufferExchange(exchangeOptions(name, memory, known, attachTimeout));
  opened.push(exchange);
  return exchange;
}

/** A bare end of the channel: shows what is sent, and sends what no exchange would. */
function wire(): { sent: any[]; send(message: object): void } {
  const channel = new BroadcastChannel(name);
  const sent: any[] = [];
  channel.onmessage = (event) => sent.push((event as MessageEvent).data);
  (channel as any).unref();
  opened.push(channel);
  return { sent, send: (message) => channel.postMessage(message) };
}

function segment(handle: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(4096);
  new Int32Array(buffer)[0] = handle;
  words[AT.live + handle] = 1;
  return buffer;
}

const first = (buffer: SharedArrayBuffer | undefined) => buffer && new Int32Array(buffer)[0];
const handles = (exchange: BufferExchange) => exchange.entries().map(([handle]) => handle);

/** Blocks this thread, so that no event loop helps. */
const block = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

describe('announce and lookup', () => {
  test('it is the same memory', () => {
    const [a, b] = [open(), open()];
    const buffer = segment(1);
    a.announce(1, buffer);
    expect(a.lookup(1)).toBe(buffer);
    const other = b.lookup(1)!;
    new Int32Array(other)[5] = 55;
    expect(new Int32Array(buffer)[5]).toBe(55);
  });

  test('the buffer found first stays, so that views on it stay right', () => {
    const [a, b] = [open(), open()];
    a.announce(1, segment(1));
    const found = b.lookup(1);
    words[AT.live + 1] = 1;
    a.announce(1, a.lookup(1)!);
    b.attend();
    expect(b.lookup(1)).toBe(found);
  });

  test('nobody knows an unknown handle, and looking it up does not ask', async () => {
    const { sent } = wire();
    const a = open();
    expect(a.lookup(9)).toBeUndefined();
    await sleep(20);
    expect(sent).toEqual([]);
  });

  test('the event loop takes announcements up too', async () => {
    const [a, b] = [open(), open()];
    a.announce(1, segment(1));
    a.announce(2, segment(2));
    await sleep(20);
    // Nothing is left in the queue: what entries() finds now was in the table.
    expect(handles(b)).toEqual([1, 2]);
  });

  test('an announcement that comes before the control memory knows the segment is kept', () => {
    const [a, b] = [open(), open()];
    a.announce(1, new SharedArrayBuffer(4096));
    b.attend();
    words[AT.live + 1] = 1;
    block(CONFIRM_AFTER_MS + 20);
    b.attend();
    expect(handles(b)).toEqual([1]);
  });

  test('but not for ever: the creator died at it', () => {
    const [a, b] = [open(), open()];
    a.announce(1, new SharedArrayBuffer(4096));
    a.announce(2, segment(2));
    expect(handles(b)).toEqual([1, 2]);
    block(CONFIRM_AFTER_MS + 20);
    expect(handles(b)).toEqual([2]);
  });
});

describe('known from the handle of the heap', () => {
  test('is there at once, and goes when it was destroyed before the channel was open', () => {
    const known: [number, SharedArrayBuffer][] = [
      [1, segment(1)],
      [2, segment(2)],
    ];
    words[AT.live + 2] = 0;
    const a = open(known);
    expect(first(a.lookup(1))).toBe(1);
    block(CONFIRM_AFTER_MS + 20);
    expect(handles(a)).toEqual([1]);
  });

  test('entries of one are the start of the next', () => {
    const a = open();
    a.announce(1, segment(1));
    const b = open();
    b.announce(2, segment(2));
    const c = open(a.entries());
    expect(handles(c).toSorted()).toEqual([1, 2]);
  });
});

describe('request', () => {
  test('finds what is in the queue or in another participant of this thread, without asking', async () => {
    const { sent } = wire();
    const [a, late] = [open([[1, segment(1)]]), open()];
    expect(first(late.request(1))).toBe(1);
    a.announce(2, segment(2));
    expect(first(late.request(2))).toBe(2);
    await sleep(20);
    expect(sent.map((m) => m.t)).toEqual(['segment']);
  });

  test('nobody has it: undefined after the time, attention called, sleepers woken', () => {
    words[AT.live + 1] = 1;
    let woken = 0;
    const options = exchangeOptions(name, memory, [], 60);
    const a = new BufferExchange({ ...options, wakeAll: () => woken++ });
    opened.push(a);
    const start = performance.now();
    expect(a.request(1)).toBeUndefined();
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(59);
    expect(took).toBeLessThan(5000);
    expect(words[AT.attention]).toBe(1);
    expect(woken).toBeGreaterThan(1);
  });

  test('a time of 0 is one look, and the others are told', () => {
    words[AT.live + 1] = 1;
    let woken = 0;
    const a = new BufferExchange({ ...exchangeOptions(name, memory, [], 0), wakeAll: () => woken++ });
    opened.push(a);
    expect(a.request(1)).toBeUndefined();
    expect([words[AT.attention], woken]).toEqual([1, 1]);
  });

  test('a destroyed segment is not waited for', async () => {
    const { sent } = wire();
    const a = open([], 60_000);
    expect(a.request(1)).toBeUndefined();
    await sleep(20);
    expect(sent).toEqual([]);
  });

  test('a want is answered once by each who has it, and not by those who see an answer behind it', () => {
    const { send } = wire();
    const [a, b] = [open([[1, segment(1)]]), open([[1, segment(1)]])];
    const late = open();
    send({ t: 'want', handle: 1 });
    a.attend();
    const answers = countAnswers(() => b.attend());
    expect(answers).toBe(0);
    expect(first(late.lookup(1))).toBe(1);
    send({ t: 'want', handle: 1 });
    expect(countAnswers(() => b.attend())).toBe(1);
  });

  /** Answers that a piece of work sends: an exchange that is opened for it sees what is sent from now on. */
  function countAnswers(work: () => void): number {
    const seen: number[] = [];
    const options = exchangeOptions(name, memory);
    const probe = new BufferExchange({ ...options, isLive: (handle) => seen.push(handle) > 0 });
    work();
    probe.attend();
    probe.close();
    return seen.length;
  }

  test('an answer that is older than the want does not count', () => {
    const { send } = wire();
    const a = open([[1, segment(1)]]);
    send({ t: 'answer', handle: 1, buffer: segment(1) });
    send({ t: 'want', handle: 1 });
    expect(countAnswers(() => a.attend())).toBe(1);
  });
});

describe('gone, drop and sweep', () => {
  test('gone makes everybody forget and calls attention', async () => {
    const [a, b, c] = [open(), open(), open()];
    a.announce(1, segment(1));
    expect(handles(b)).toEqual([1]);
    expect(a.attentionSeen).toBe(0);
    b.gone(1);
    words[AT.live + 1] = 0;
    expect(words[AT.attention]).toBe(1);
    expect(a.attentionSeen).toBe(0);
    a.attend();
    expect(a.attentionSeen).toBe(1);
    expect([handles(a), handles(b), handles(c)]).toEqual([[], [], []]);
  });

  test('an idle event loop forgets by itself', async () => {
    const [a, b] = [open(), open()];
    a.announce(1, segment(1));
    b.attend();
    a.gone(1);
    await sleep(20);
    expect(b.attentionSeen).toBe(1);
    expect(handles(b)).toEqual([]);
  });

  test('an answer for a destroyed segment is not kept', () => {
    const { send } = wire();
    const a = open();
    send({ t: 'answer', handle: 1, buffer: new SharedArrayBuffer(4096) });
    expect(handles(a)).toEqual([]);
  });

  test('an answer that overtakes the end of the segment goes when it is confirmed', () => {
    const { send } = wire();
    const a = open();
    const buffer = segment(1);
    send({ t: 'gone', handle: 1 });
    send({ t: 'answer', handle: 1, buffer });
    expect(handles(a)).toEqual([1]);
    words[AT.live + 1] = 0;
    block(CONFIRM_AFTER_MS + 20);
    expect(handles(a)).toEqual([]);
  });

  test('drop is a matter of one participant', () => {
    const [a, b] = [open(), open()];
    a.announce(1, segment(1));
    b.attend();
    b.drop(1);
    b.drop(77);
    expect([handles(a), handles(b)]).toEqual([[1], []]);
    expect(first(b.request(1))).toBe(1);
  });

  test('sweep finds what somebody destroyed without a word', () => {
    const [a, b] = [open(), open()];
    a.announce(1, segment(1));
    a.announce(2, segment(2));
    b.attend();
    block(CONFIRM_AFTER_MS + 20);
    expect(handles(b)).toEqual([1, 2]);
    words[AT.live + 1] = 0;
    expect(handles(b)).toEqual([1, 2]);
    a.sweep();
    expect([handles(a), handles(b)]).toEqual([[2], [2]]);
    expect(words[AT.attention]).toBe(1);
  });

  test('sweep leaves alone what may not be entered yet', () => {
    const [a, b] = [open(), open()];
    a.announce(1, new SharedArrayBuffer(4096));
    b.attend();
    b.sweep();
    words[AT.live + 1] = 1;
    expect(handles(b)).toEqual([1]);
  });

  test('many segments come and go', () => {
    const [a, b] = [open(), open()];
    for (let round = 0; round < 500; round++) {
      const handle = 1 + (round % 50);
      a.announce(handle, segment(handle));
      const seen = round % 3 === 0 ? first(b.lookup(handle)) : handle;
      expect(seen).toBe(handle);
      (round % 2 === 0 ? a : b).gone(handle);
      words[AT.live + handle] = 0;
    }
    expect([handles(a), handles(b)]).toEqual([[], []]);
  });
});

describe('close', () => {
  test('forgets, and says so to those who ask', () => {
    const [a, b] = [open(), open()];
    a.announce(1, segment(1));
    a.close();
    a.close();
    expect(a.lookup(1)).toBeUndefined();
    expect(a.entries()).toEqual([]);
    const closed = expect.objectContaining({ code: 'ERR_HEAP_CLOSED', detail: name });
    expect(() => a.announce(2, segment(2))).toThrow(closed);
    expect(() => a.request(1)).toThrow(closed);
    a.gone(1);
    a.sweep();
    a.drop(1);
    a.attend();
    expect(words[AT.attention]).toBe(0);
    expect(first(b.lookup(1))).toBe(1);
  });

  test('heaps of other names hear nothing', () => {
    const a = open();
    name = `${name} other`;
    const b = open([], 0);
    a.announce(1, segment(1));
    expect(b.request(1)).toBeUndefined();
  });

  test('an exchange that nobody closes keeps no program alive', async () => {
    const script = fileURLToPath(new URL('../workers/platform-alone.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [script, 'exchange'], { timeout: 30_000 });
    expect(stdout).toBe('open\n');
  });
});

describe('runtimes', () => {
  async function lesser(scenario: string, report: string): Promise<any> {
    const worker = new Worker(new URL('../workers/platform-lesser.mjs', import.meta.url), {
      workerData: { scenario, report },
    });
    const [answer] = await once(worker, 'message');
    await worker.terminate();
    return answer;
  }

  test('this one', () => {
    expect(buffersSupported()).toBe(true);
  });

  test.each([
    ['browser', /^browser .*synchronously$/],
    ['bun', /^bun 1\.4\.5 .*synchronously$/],
  ])('%s: a reason, and an error that gives it', async (scenario, reason) => {
    expect((await lesser(scenario, 'facts')).buffers).toMatch(reason);
    const error = await lesser(scenario, 'exchange');
    expect(error).toMatchObject({ code: 'ERR_HEAP_UNSUPPORTED', detail: expect.stringMatching(reason) });
  });
});
