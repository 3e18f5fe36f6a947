/** The queue with both ends in one thread: framing, wrapping, laziness, detaching, bad input. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MAX_MQ_MESSAGE,
  MessageQueue,
  MINIMUM_MQ_SIZE,
  MQ_DETACHED,
  MQ_SUCCESS,
  MQ_WOULD_BLOCK,
  MqReceiver,
  MqSender,
} from '../../dist/mq/mq.js';
import { makeWorld } from '../sync/world.js';
import { codeOf, makePair, pattern, queueMemory, rejectionOf, requireUntouched } from './helpers.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (message: Uint8Array) => Buffer.from(message).toString();

describe('one message', () => {
  it('of any length from 0 to what fits comes whole', () => {
    const { sender, receiver, queue } = makePair(56 + 64);
    for (let round = 0; round < 4; round++) {
      for (let length = 0; length <= 56; length++) {
        const sent = pattern(length, round);
        expect(sender.trySend(sent)).toBe(MQ_SUCCESS);
        expect(receiver.tryReceive()).toBe(MQ_SUCCESS);
        expect(receiver.length).toBe(length);
        expect(receiver.message).toEqual(sent);
        // Before it says that nothing is there, it gives the room back.
        expect(receiver.tryReceive()).toBe(MQ_WOULD_BLOCK);
        expect(queue.verify()).toEqual([]);
      }
    }
  });

  it('in one piece is not copied, and stays until the next receive', () => {
    const { sender, receiver } = makePair(56 + 128);
    sender.trySend(bytes('first'));
    sender.trySend(bytes('second'));
    receiver.tryReceive();
    expect(receiver.inRing).toBe(true);
    const first = receiver.message;
    sender.trySend(bytes('x'.repeat(80)));
    expect(text(first)).toBe('first');
    expect([receiver.bytes.length, receiver.offset, receiver.length]).toEqual([128, 8, 5]);
    receiver.tryReceive();
    expect(text(receiver.message)).toBe('second');
  });

  it('in pieces is gathered, whatever their sizes', () => {
    const { sender, receiver, a } = makePair(56 + 64);
    const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 4 });
    fc.assert(
      fc.property(pieces, (parts) => {
        const whole = Buffer.concat(parts);
        let sent = sender.sendv(parts, { timeout: 0 });
        while (sent === MQ_WOULD_BLOCK) {
          expect(receiver.tryReceive()).toBe(MQ_WOULD_BLOCK);
          expect(sender.midMessage).toBe(true);
          sent = sender.sendv(parts, { timeout: 0 });
        }
        expect(sent).toBe(MQ_SUCCESS);
        expect(receiver.tryReceive()).toBe(MQ_SUCCESS);
        expect(Buffer.from(receiver.message).equals(whole)).toBe(true);
        requireUntouched(a, 56 + 64);
      }),
    );
  });

  it('larger than the ring passes through it in turns', () => {
    for (const size of [64, 72, 120, 200]) {
      const { sender, receiver, a } = makePair(size);
      const sent = pattern(1000, size);
      let turns = 0;
      let [s, r]: number[] = [MQ_WOULD_BLOCK, MQ_WOULD_BLOCK];
      while (r !== MQ_SUCCESS) {
        if (s !== MQ_SUCCESS) s = sender.trySend(sent);
        r = receiver.tryReceive();
        expect(++turns).toBeLessThan(300);
      }
      expect(s).toBe(MQ_SUCCESS);
      expect(receiver.message).toEqual(sent);
      expect(receiver.inRing).toBe(false);
      requireUntouched(a, size);
    }
  });
});

describe('rows of messages', () => {
  it('are what an array would hold, for random sizes of queue and message', () => {
    const step = fc.oneof(
      fc.record({ send: fc.nat(90), flush: fc.boolean() }),
      fc.constant('receive' as const),
      fc.constant('flush' as const),
    );
    fc.assert(
      fc.property(fc.integer({ min: 64, max: 300 }), fc.array(step, { maxLength: 60 }), (size, steps) => {
        const { sender, receiver, queue, a } = makePair(size);
        const model: Uint8Array[] = [];
        let begun: Uint8Array | null = null;
        let seed = 0;
        for (const s of steps) {
          if (s === 'flush') {
            sender.flush();
          } else if (s === 'receive') {
            const got = receiver.tryReceive();
            if (got === MQ_SUCCESS) expect(receiver.message).toEqual(model.shift() ?? begun);
            else expect(got).toBe(MQ_WOULD_BLOCK);
          } else {
            const message: Uint8Array = begun ?? pattern(s.send, ++seed);
            const sent = sender.trySend(message, s.flush);
            begun = sent === MQ_WOULD_BLOCK ? message : null;
            if (sent === MQ_SUCCESS) model.push(message);
          }
          expect(queue.verify()).toEqual([]);
        }
        // Whatever is left comes in order.
        let turns = 0;
        while (model.length > 0 || begun !== null) {
          expect(++turns).toBeLessThan(1000);
          if (begun !== null && sender.trySend(begun) === MQ_SUCCESS) {
            model.push(begun);
            begun = null;
          }
          sender.flush();
          if (receiver.tryReceive() === MQ_SUCCESS) expect(receiver.message).toEqual(model.shift());
        }
        requireUntouched(a, size);
      }),
    );
  });

  it('are not seen before they are flushed', () => {
    const { sender, receiver } = makePair(56 + 256);
    sender.trySend(bytes('a'), false);
    sender.send(bytes('b'), { flush: false });
    expect(receiver.tryReceive()).toBe(MQ_WOULD_BLOCK);
    sender.flush();
    expect(receiver.tryReceive()).toBe(MQ_SUCCESS);
    expect(text(receiver.message)).toBe('a');
    expect(receiver.tryReceive()).toBe(MQ_SUCCESS);
    // More than a quarter of the ring flushes by itself.
    for (let n = 0; n < 4; n++) sender.trySend(bytes('c'), false);
    expect(receiver.tryReceive()).toBe(MQ_WOULD_BLOCK);
    sender.trySend(bytes('c'), false);
    expect(receiver.tryReceive()).toBe(MQ_SUCCESS);
  });

  it('are flushed without a receiver too', () => {
    const world = makeWorld(4);
    const a = queueMemory(256);
    const queue = MessageQueue.create(a, 64, 256);
    const [s, r] = [world.join(), world.join()];
    queue.setSender(s);
    const sender = MqSender.attach(queue, s);
    expect(sender.send(bytes('early'))).toBe(MQ_SUCCESS);
    expect(queue.receiver).toBe(null);
    queue.setReceiver(r);
    const receiver = MqReceiver.attach(queue, r);
    expect(receiver.tryReceive()).toBe(MQ_SUCCESS);
    expect(text(receiver.message)).toBe('early');
  });

  it('go on when the counters pass 32 bits', () => {
    const world = makeWorld(4);
    const a = queueMemory(120);
    const queue = MessageQueue.create(a, 64, 120);
    // 2^32 is a multiple of the ring's 64 bytes; the counters start just below it.
    for (const word of [16 + 6, 16 + 8]) a[word] = -96;
    const [s, r] = [world.join(), world.join()];
    queue.setSender(s);
    queue.setReceiver(r);
    const sender = MqSender.attach(queue, s);
    const receiver = MqReceiver.attach(queue, r);
    for (let n = 0; n < 40; n++) {
      expect(sender.trySend(pattern(n, n))).toBe(MQ_SUCCESS);
      expect(receiver.tryReceive()).toBe(MQ_SUCCESS);
      expect(receiver.message).toEqual(pattern(n, n));
      expect(receiver.tryReceive()).toBe(MQ_WOULD_BLOCK);
    }
    expect([a[16 + 7], a[16 + 9]]).toEqual([1, 1]);
    expect(queue.verify()).toEqual([]);
  });
});

describe('leaving', () => {
  it('of the sender ends the queue after what was published', () => {
    const { sender, receiver, queue } = makePair(256);
    sender.trySend(bytes('a'), false);
    sender.trySend(bytes('b'), false);
    sender.detach();
    sender.detach();
    expect(queue.detached).toBe(true);
    expect(receiver.receive()).toBe(MQ_SUCCESS);
    expect(receiver.receive()).toBe(MQ_SUCCESS);
    expect(text(receiver.message)).toBe('b');
    expect(receiver.receive()).toBe(MQ_DETACHED);
    expect(receiver.receive()).toBe(MQ_DETACHED);
    expect(codeOf(() => sender.trySend(bytes('c')))).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => sender.flush())).toBe('ERR_HEAP_CLOSED');
  });

  it('in the middle of a message leaves a beginning that is dropped', () => {
    const { sender, receiver } = makePair(120);
    sender.trySend(bytes('whole'));
    expect(sender.trySend(pattern(501, 1))).toBe(MQ_WOULD_BLOCK);
    expect(receiver.receive()).toBe(MQ_SUCCESS);
    expect(receiver.tryReceive()).toBe(MQ_WOULD_BLOCK);
    expect(sender.trySend(pattern(501, 1))).toBe(MQ_WOULD_BLOCK);
    sender.detach();
    expect(receiver.receive()).toBe(MQ_DETACHED);
  });

  it('of the receiver ends the sender, also in the middle of a message and after its last byte', () => {
    const one = makePair(120);
    expect(one.sender.trySend(pattern(500, 1))).toBe(MQ_WOULD_BLOCK);
    one.receiver.detach();
    expect(one.sender.trySend(pattern(500, 1))).toBe(MQ_DETACHED);
    expect(one.sender.midMessage).toBe(false);
    // Another message: nothing is left of the first.
    expect(one.sender.send(bytes('x'))).toBe(MQ_DETACHED);
    expect(codeOf(() => one.receiver.tryReceive())).toBe('ERR_HEAP_CLOSED');
  });

  it('of a participant without a word is found out', () => {
    const one = makePair(256);
    one.sender.trySend(bytes('last'));
    one.sender.participant.leave();
    expect(one.receiver.receive()).toBe(MQ_SUCCESS);
    expect(text(one.receiver.message)).toBe('last');
    expect(one.receiver.receive({ timeout: 20_000 })).toBe(MQ_DETACHED);
    const two = makePair(64);
    two.receiver.participant.leave();
    expect(two.sender.send(pattern(100, 1), { timeout: 20_000 })).toBe(MQ_DETACHED);
    expect(codeOf(() => two.receiver.tryReceive())).toBe('ERR_HEAP_CLOSED');
  });

  it('is not mistaken when another has the slot by now', () => {
    const world = makeWorld(2);
    const { sender, receiver } = makePair(256, world);
    sender.participant.leave();
    expect(world.join().slot).toBe(sender.participant.slot);
    expect(receiver.receive({ timeout: 20_000 })).toBe(MQ_DETACHED);
  });

  it('ends waits for somebody who was never there, when the peer says so', () => {
    const world = makeWorld(4);
    const queue = MessageQueue.create(queueMemory(64), 64, 64);
    const p = world.join();
    queue.setReceiver(p);
    let gone = false;
    const receiver = MqReceiver.attach(queue, p, { peer: { isGone: () => gone } });
    expect(receiver.waitForAttach({ timeout: 0 })).toBe(MQ_WOULD_BLOCK);
    expect(receiver.receive({ timeout: 60 })).toBe(MQ_WOULD_BLOCK);
    gone = true;
    expect(receiver.waitForAttach()).toBe(MQ_DETACHED);
    expect(receiver.receive()).toBe(MQ_DETACHED);
  });

  it('comes when anybody ends the queue', () => {
    const { queue, sender, receiver } = makePair(256);
    expect(receiver.waitForAttach()).toBe(MQ_SUCCESS);
    queue.detach();
    expect(sender.send(bytes('x'))).toBe(MQ_DETACHED);
    expect(receiver.receive()).toBe(MQ_DETACHED);
    expect(receiver.waitForAttach()).toBe(MQ_DETACHED);
  });
});

describe('without blocking', () => {
  it('waits end with their time', async () => {
    const { sender, receiver } = makePair(64);
    expect(receiver.receive({ timeout: 5 })).toBe(MQ_WOULD_BLOCK);
    expect(await receiver.receiveAsync({ timeout: 5 })).toBe(MQ_WOULD_BLOCK);
    expect(sender.send(pattern(100, 1), { timeout: 5 })).toBe(MQ_WOULD_BLOCK);
    expect(await sender.sendAsync(pattern(100, 1), { timeout: 5 })).toBe(MQ_WOULD_BLOCK);
    expect(codeOf(() => sender.trySend(pattern(101, 1)))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(sender.midMessage).toBe(true);
  });

  it('both ends work in one event loop', async () => {
    const { sender, receiver } = makePair(72);
    const times = 200;
    const sending = (async () => {
      for (let n = 0; n < times; n++) expect(await sender.sendAsync(pattern(n, n))).toBe(MQ_SUCCESS);
      sender.detach();
    })();
    for (let n = 0; n < times; n++) {
      expect(await receiver.receiveAsync()).toBe(MQ_SUCCESS);
      expect(receiver.message).toEqual(pattern(n, n));
    }
    expect(await receiver.receiveAsync()).toBe(MQ_DETACHED);
    await sending;
  });

  it('a signal ends a wait, with its reason as the cause', async () => {
    const { receiver } = makePair(64);
    const { sender } = makePair(64);
    const abort = new AbortController();
    const waiting = receiver.receiveAsync({ signal: abort.signal });
    const full = sender.sendAsync(pattern(100, 1), { signal: abort.signal });
    full.catch(() => {});
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 5);
    const aborted = { code: 'ERR_HEAP_ABORTED', cause: reason };
    await expect(waiting).rejects.toMatchObject(aborted);
    await expect(full).rejects.toMatchObject(aborted);
    await expect(receiver.receiveAsync({ signal: abort.signal })).rejects.toMatchObject(aborted);
  });

  it('an end that is left while it waits says so', async () => {
    const { receiver } = makePair(64);
    const waiting = rejectionOf(receiver.receiveAsync());
    receiver.detach();
    expect(await waiting).toBe('ERR_HEAP_CLOSED');
  });
});

describe('bad input', () => {
  const world = makeWorld(4);
  const BAD = [null, 0, 'x', true, {}, [], () => 1, 1n, Symbol('s')] as never[];

  it('makes no queue', () => {
    const a = queueMemory(256);
    const before = a.slice();
    for (const size of [-1, 0, 63, 2 ** 31 + 8, 0.5, Number.NaN, '64', null]) {
      expect(codeOf(() => MessageQueue.create(a, 64, size as never))).toMatch(/ERR_HEAP_BAD_(SIZE|ARGUMENT)/);
    }
    for (const at of [-8, 4, 60, 1e9, 0.5, null, '64']) {
      expect(codeOf(() => MessageQueue.create(a, at as never, 64))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => MessageQueue.open(a, at as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const bad of [...BAD, new Int32Array(64)]) {
      expect(codeOf(() => MessageQueue.create(bad as never, 0, 64))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(a).toEqual(before);
    expect(codeOf(() => MessageQueue.open(a, 64))).toBe('ERR_HEAP_CORRUPT');
    expect(MessageQueue.minimumSize).toBe(MINIMUM_MQ_SIZE);
    expect(MessageQueue.create(a, 64, 71).ringSize).toBe(8);
  });

  it('attaches nobody', () => {
    const queue = MessageQueue.create(queueMemory(64), 64, 64);
    const p = world.join();
    for (const bad of BAD) {
      expect(codeOf(() => queue.setSender(bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => queue.setReceiver(bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => MqSender.attach(queue, bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => MqReceiver.attach(bad, p))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(codeOf(() => MqSender.attach(queue, p))).toBe('ERR_HEAP_BAD_ARGUMENT');
    queue.setSender(p);
    expect(codeOf(() => queue.setSender(p))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => MqReceiver.attach(queue, p))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => MqSender.attach(queue, p, { peer: {} as never }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => MqSender.attach(queue, p, null as never))).toBe('ERR_HEAP_BAD_OPTION');
    expect(queue.sender).toEqual({ slot: p.slot, generation: p.generation });
    p.leave();
    expect(codeOf(() => queue.setReceiver(p))).toBe('ERR_HEAP_CLOSED');
    expect(queue.receiver).toBe(null);
  });

  it('sends nothing', async () => {
    const { sender, receiver, a } = makePair(256);
    const before = a.slice();
    for (const bad of BAD) {
      expect(codeOf(() => sender.send(bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => sender.trySend(bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(await rejectionOf(sender.sendAsync(bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => sender.sendv([bytes('x'), bad]))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const bad of [null, 5, 'x', true]) {
      expect(codeOf(() => sender.send(bytes('x'), bad as never))).toBe('ERR_HEAP_BAD_OPTION');
      expect(codeOf(() => receiver.receive(bad as never))).toBe('ERR_HEAP_BAD_OPTION');
      expect(codeOf(() => receiver.waitForAttach(bad as never))).toBe('ERR_HEAP_BAD_OPTION');
    }
    for (const timeout of [-1, Number.NaN, '5', null]) {
      const options = { timeout: timeout as never };
      // Null is left out, as undefined is.
      const code = timeout === null ? 'nothing' : 'ERR_HEAP_BAD_OPTION';
      if (timeout !== null) expect(codeOf(() => receiver.receive(options))).toBe(code);
    }
    expect(codeOf(() => sender.send(bytes('x'), { flush: 1 as never }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(await rejectionOf(receiver.receiveAsync({ signal: {} as never }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(sender.midMessage).toBe(false);
    expect(a).toEqual(before);
  });

  it('a message beyond the limit is refused before a byte of it is sent', () => {
    const { sender, a } = makePair(256);
    const before = a.slice();
    const half = new Uint8Array(2 ** 29);
    expect(MAX_MQ_MESSAGE).toBe(2 ** 30 - 1);
    expect(codeOf(() => sender.sendv([half, half]))).toBe('ERR_HEAP_BAD_SIZE');
    expect(a).toEqual(before);
  });

  it('damage is told', () => {
    const one = makePair(120);
    one.sender.trySend(bytes('x'));
    one.a[16 + 14] = -1;
    expect(codeOf(() => one.receiver.tryReceive())).toBe('ERR_HEAP_CORRUPT');
    const two = makePair(120);
    two.a[16 + 8] = 80;
    expect(codeOf(() => two.receiver.tryReceive())).toBe('ERR_HEAP_CORRUPT');
    expect(two.queue.verify()).toHaveLength(1);
    two.a[16 + 6] = 88;
    expect(codeOf(() => two.sender.trySend(bytes('x')))).toBe('ERR_HEAP_CORRUPT');
    expect(two.queue.verify()).toHaveLength(1);
  });
});
