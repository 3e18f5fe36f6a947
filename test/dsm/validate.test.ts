import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClusterControl, DsmControlHeader } from '../../dist/dsm/control-layout.js';
import { controlGeometry } from '../../dist/dsm/geometry.js';
import { Dsm, type DsmClusterHandle, ResourceOwner } from '../../dist/dsm/dsm.js';
import { SharedHeapError } from '../../dist/errors/errors.js';
import { allStructs } from '../../dist/layout/layout.js';
import { codeOf, errorOf, freeControlLock, holdControlLock, make, makeCluster, STORES } from './helpers.js';

/** What is not a whole number above 0. */
const NO_COUNT: any[] = [Number.NaN, -1, 0, 1.5, -0.5, Infinity, -Infinity, 2 ** 53, null, '8', {}, [], true, () => 1];

describe.each(STORES)('bad input on %s', (store) => {
  let dsm: Dsm;
  let other: Dsm;
  let before: object;
  beforeAll(() => {
    dsm = makeCluster(store);
    other = Dsm.join(dsm.handle);
    make(dsm, 100).pinSegment();
    // So that no page is touched for the first time by what follows.
    make(dsm, 100).detach();
    before = dsm.stats();
  });
  afterAll(() => {
    expect(dsm.stats()).toEqual(before);
    other.leave();
    dsm.leave();
  });

  /** The code of each call, after making sure that none of them changed anything. */
  const codes = (values: readonly unknown[], call: (value: any) => unknown) => {
    const found = new Set(values.map((value) => codeOf(() => call(value))));
    expect(dsm.stats()).toEqual(before);
    return [...found];
  };

  it('create: size', () => {
    const sizes = [...NO_COUNT, undefined, 2 ** 40 + 1, 0n, -1n, 2n ** 40n + 1n, 2n ** 64n, 2n ** 2000n];
    expect(codes(sizes, (size) => dsm.create(size))).toEqual(['ERR_HEAP_BAD_SIZE']);
    expect(errorOf(() => dsm.create(2n ** 64n)).detail).toContain('18446744073709551616');
  });

  it('create: flags', () => {
    const flags = [...NO_COUNT.filter((f) => f !== 0), 2, 4, 1n];
    expect(codes(flags, (f) => dsm.create(100, f))).toEqual(['ERR_HEAP_BAD_ARGUMENT']);
  });

  it('attach, findMapping, unpinSegment: handle', () => {
    const handles = [...NO_COUNT, undefined, 2 ** 32, 8n];
    expect(codes(handles, (h) => dsm.attach(h))).toEqual(['ERR_HEAP_BAD_HANDLE']);
    expect(codes(handles, (h) => dsm.findMapping(h))).toEqual(['ERR_HEAP_BAD_HANDLE']);
    expect(codes(handles, (h) => dsm.unpinSegment(h))).toEqual(['ERR_HEAP_BAD_HANDLE']);
  });

  it('attach, findMapping, unpinSegment: handles that nobody has', () => {
    const [known] = dsm.stats().segments;
    const handles = [1, 3, 2 ** 32 - 1, known!.handle + 1, known!.handle - 1, (known!.handle ^ 0x100) >>> 0];
    for (const h of handles) expect([dsm.attach(h), dsm.findMapping(h)]).toEqual([null, null]);
    expect(codes(handles, (h) => dsm.unpinSegment(h))).toEqual(['ERR_HEAP_SEGMENT_GONE']);
  });

  it('markDead: thread', () => {
    const threads = [...NO_COUNT.filter((t) => t !== 0), undefined, 2 ** 31, 1n];
    expect(codes(threads, (t) => dsm.markDead(t))).toEqual(['ERR_HEAP_BAD_ARGUMENT']);
  });

  it('onDetach: callback', () => {
    const segment = dsm.findMapping(dsm.stats().segments[0]!.handle)!;
    const values = [null, undefined, 1, 'f', {}];
    expect(codes(values, (f) => segment.onDetach(f, 1))).toEqual(['ERR_HEAP_BAD_ARGUMENT']);
    expect(codes(values, (f) => segment.cancelOnDetach(f, 1))).toEqual(['nothing']);
  });

  it('join: options', () => {
    const { handle } = dsm;
    expect(codes([null, 1, 'x', true], (options) => Dsm.join(handle, options))).toEqual(['ERR_HEAP_BAD_OPTION']);
    const timeouts = [...NO_COUNT.filter((t) => t !== 0), 2 ** 31, 1n];
    expect(codes(timeouts, (lockTimeout) => Dsm.join(handle, { lockTimeout }))).toEqual(['ERR_HEAP_BAD_OPTION']);
    expect(codes(timeouts, (attachTimeout) => Dsm.join(handle, { attachTimeout }))).toEqual(['ERR_HEAP_BAD_OPTION']);
  });

  it('create: options of a cluster', () => {
    const refused = (name: string, values: unknown[]) =>
      expect([name, ...codes(values, (v) => Dsm.create({ store, [name]: v }))]).toEqual([name, 'ERR_HEAP_BAD_OPTION']);
    refused('participants', [...NO_COUNT.filter((v) => v !== null), 801, 1n]);
    refused('segments', [...NO_COUNT.filter((v) => v !== null), 4097, 1n]);
    refused('regionSize', [...NO_COUNT.filter((v) => v !== null), 4 * 2 ** 20 - 1, 2 ** 50 + 1, 1n]);
    const times = [...NO_COUNT.filter((v) => v !== null && v !== 0), 2 ** 31, 1n];
    refused('attachTimeout', times);
    refused('lockTimeout', times);
    refused('random', [1, 'x', {}]);
    refused('store', ['Region', 1, {}, true, '', 1n, Symbol('region'), Object.create(null)]);
    expect(codes([null, 1, 'region', true], (options) => Dsm.create(options))).toEqual(['ERR_HEAP_BAD_OPTION']);
  });

  it('everything after leave', () => {
    const gone = Dsm.join(dsm.handle);
    const owner = new ResourceOwner(gone, 'scope');
    const segment = make(gone, 100);
    gone.leave();
    gone.leave();
    const calls: (() => unknown)[] = [
      () => gone.create(100),
      () => gone.attach(8),
      () => gone.findMapping(8),
      () => gone.unpinSegment(8),
      () => gone.attend(),
      () => gone.markDead(1),
      () => gone.stats(),
      () => gone.handle,
      () => new ResourceOwner(gone, 'late'),
      () => segment.detach(),
    ];
    expect(codes(calls, (call) => call())).toEqual(['ERR_HEAP_CLOSED']);
    gone.currentOwner = null;
    expect(owner.release()).toBe(0);
  });

  it('a source of handles that throws, or that is no source', () => {
    const draws: (() => number)[] = [];
    const fresh = Dsm.create({ store, regionSize: 2 ** 24, random: () => draws.pop()!() });
    const empty = fresh.stats();
    draws.push(() => {
      throw new TypeError('no entropy');
    });
    const error = errorOf(() => fresh.create(100));
    expect(error).toBeInstanceOf(SharedHeapError);
    expect([error.code, error.cause.message]).toEqual(['ERR_HEAP_BAD_OPTION', 'no entropy']);
    expect(fresh.stats()).toEqual(empty);
    // Whatever else it gives, the segments get different handles, at once and above 0.
    const poor: any[] = [0, Number.NaN, 'x', -1, 2 ** 31, 0, undefined, -1, 0.4, null];
    const handles = poor.map((value) => {
      draws.push(() => value);
      return make(fresh, 100).handle;
    });
    expect(new Set(handles).size).toBe(poor.length);
    expect(handles.filter((h) => h % 2 !== 0 || h <= 0 || h > 0xffffffff)).toEqual([]);
    fresh.leave();
  });
});

describe.each(STORES)('the handle of a cluster on %s', (store) => {
  let dsm: Dsm;
  beforeAll(() => {
    dsm = makeCluster(store);
    make(dsm, 100);
  });
  afterAll(() => dsm.leave());

  const refuse = (handle: unknown) => {
    const before = dsm.stats();
    expect(codeOf(() => Dsm.join(handle as DsmClusterHandle))).toBe('ERR_HEAP_BAD_HANDLE');
    expect(dsm.stats()).toEqual(before);
  };

  it('is accepted as it is, and as a structured clone', () => {
    for (const handle of [dsm.handle, structuredClone(dsm.handle)]) Dsm.join(handle).leave();
  });

  it('is refused when it is something else', () => {
    for (const value of [null, undefined, 1, 'handle', {}, [], true, dsm, Number.NaN, new SharedArrayBuffer(8192)]) {
      refuse(value);
    }
    // Not even when all that it should own is in reach.
    refuse(Object.create(dsm.handle));
  });

  it('is refused when any part of it is wrong or missing', () => {
    const buffer = new SharedArrayBuffer(4096);
    const wrong: Record<string, unknown[]> = {
      v: [0, 2, '1', null],
      kind: ['sharedheap.heap', '', null, 1],
      store: [store === 'region' ? 'buffers' : 'region', '', null, 0, 1n, Symbol('region'), Object.create(null)],
      control: [null, new ArrayBuffer(8192), new Uint8Array(8192), {}, buffer, new SharedArrayBuffer(0)],
      segments: [
        null,
        {},
        'segments',
        [1],
        [[8]],
        [[8, null]],
        [[8, new ArrayBuffer(8)]],
        [[0, buffer]],
        [[-2, buffer]],
        [[1.5, buffer]],
        [[2 ** 32, buffer]],
        [['8', buffer]],
        [[8, buffer], null],
        new Array(1),
      ],
      attachTimeout: [-1, Number.NaN, '5', null, Infinity, 2 ** 31, 0.5],
      lockTimeout: [-1, Number.NaN, '5', null, Infinity, 2 ** 31, 0.5],
    };
    for (const [key, values] of Object.entries(wrong)) {
      for (const value of values) refuse({ ...dsm.handle, [key]: value });
      const { [key as 'v']: _, ...rest } = dsm.handle;
      refuse(rest);
    }
  });

  it('is refused with memory that is too small for any control segment', () => {
    for (const bytes of [0, 4, 4095, 4096, 8191, 8192]) {
      const control = new SharedArrayBuffer(bytes);
      refuse({ ...dsm.handle, control });
      // With the mark, and all that is checked before the sizes.
      const words = new Int32Array(control, 0, bytes >>> 2);
      words.set(new Int32Array(dsm.handle.control, 0, 1024).subarray(0, words.length));
      refuse({ ...dsm.handle, control });
    }
  });
});

interface Field {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** The fields of the cluster control, as they lie in memory. */
const FIELDS: readonly Field[] = allStructs().find((s) => s.name === ClusterControl.NAME)!.rows;

/** Fields that say nothing that could be wrong: anything may stand there. */
const FREE = ['cluster_id', 'reserved0', 'attention', 'control_lock', 'layers', 'reserved'];

/** Values that a frozen field cannot have, given those that it has; each as its words, low first. */
function nonsense({ name, size }: Field, [lo, hi]: number[], dsm: Dsm): number[][] {
  const region = dsm.storeKind === 'region';
  if (size === 4) {
    const words = [0, -1, 0x7fffffff, -(2 ** 31), lo! ^ 0x40000000];
    // The mark of fresh pages moves on `region`, between the control segment and the end.
    if (name === 'fresh_page' && region) {
      words.push(dsm.control.byteLength / 4096 - 1, dsm.stats().reservedBytes / 4096 + 1);
    } else words.push(lo! + 1);
    return words.filter((word) => word !== lo).map((word) => [word]);
  }
  const pairs = [
    [0, 0],
    [lo!, 1 << 30],
    [lo!, -1],
    [lo! - 4096, hi!],
    [lo! + 1, hi!],
    [-1, -1],
  ];
  // More may have been wanted than was had.
  return name === 'wanted_bytes' && region ? pairs : [...pairs, [lo! + 4096, hi!]];
}

describe.each(STORES)('a control segment on %s', (store) => {
  let dsm: Dsm;
  beforeAll(() => {
    dsm = makeCluster(store, { lockTimeout: 20 });
    make(dsm, 100);
  });
  afterAll(() => dsm.leave());

  /** Tries to join with these words at `at`, and puts back what was there. */
  const joinWith = (at: number, words: number[]) => {
    const old = words.map((_, i) => dsm.control[at + i]!);
    words.forEach((word, i) => (dsm.control[at + i] = word));
    const code = codeOf(() => Dsm.join(dsm.handle).leave());
    old.forEach((word, i) => (dsm.control[at + i] = word));
    return code;
  };

  it('is refused with nonsense in any frozen field, and taken again when that is undone', () => {
    const before = dsm.stats();
    let tried = 0;
    for (const field of FIELDS) {
      const { name } = field;
      // The fields of the registry are checked by those who open it.
      if (FREE.includes(name) || name.startsWith('registry_')) continue;
      const at = field.offset / 4;
      const old = Array.from(dsm.control.subarray(at, at + field.size / 4));
      const expected = ['version', 'layout_hash'].includes(name) ? 'ERR_HEAP_VERSION' : 'ERR_HEAP_BAD_HANDLE';
      for (const words of nonsense(field, old, dsm)) {
        expect([name, words, joinWith(at, words)]).toEqual([name, words, expected]);
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(70);
    Dsm.join(dsm.handle).leave();
    expect(dsm.stats()).toEqual(before);
  });

  it('is refused when the header of its slots is not sane', () => {
    const at = dsm.control[ClusterControl.dsm_at / 4]! / 4;
    const { slotsMax } = dsm.stats();
    const cases = {
      [DsmControlHeader.magic]: [0, -1, dsm.control[at]! + 1],
      [DsmControlHeader.nitems]: [slotsMax + 1, -1, 0x7fffffff],
      [DsmControlHeader.maxitems]: [0, -1, 4097, 4096, 0x7fffffff, slotsMax + 200],
    };
    for (const [offset, values] of Object.entries(cases)) {
      for (const value of values) {
        expect([offset, value, joinWith(at + Number(offset) / 4, [value])]).toEqual([
          offset,
          value,
          'ERR_HEAP_BAD_HANDLE',
        ]);
      }
    }
    Dsm.join(dsm.handle).leave();
  });

  it('is refused when its participant table is another one', () => {
    const at = dsm.control[ClusterControl.participants_at / 4]! / 4;
    for (const count of [0, -1, 63, 65]) expect(joinWith(at, [count])).toBe('ERR_HEAP_CORRUPT');
  });

  it('is joined whatever stands in fields that cannot be wrong', () => {
    for (const { name, offset } of FIELDS) {
      if (!FREE.includes(name) || name === 'control_lock') continue;
      for (const value of [0, -1, 12345]) expect([name, joinWith(offset / 4, [value])]).toEqual([name, 'nothing']);
    }
  });

  it('is joined while its lock is held; work that needs the lock says that it stalls', () => {
    const holder = Dsm.join(dsm.handle);
    holdControlLock(holder);
    const guest = Dsm.join(dsm.handle);
    expect(codeOf(() => guest.stats())).toBe('ERR_HEAP_LOCK_STALLED');
    freeControlLock(holder);
    expect(guest.stats().participants).toBe(3);
    guest.leave();
    holder.leave();
  });

  it('is refused when its counts are beyond the limits, or its memory too small, though all else agrees', () => {
    /** Control memory that says of itself what it should, for these counts; `spare` pages more or less of it. */
    const forge = (participants: number, segments: number, spare = 0) => {
      const { participantsAt, dsmAt, controlBytes } = controlGeometry(participants, segments);
      const memory = new SharedArrayBuffer(controlBytes + 4096 * spare);
      const words = new Int32Array(memory);
      words.set(dsm.control.subarray(0, 128));
      words[ClusterControl.participants / 4] = participants;
      words[ClusterControl.participants_at / 4] = participantsAt;
      words[ClusterControl.dsm_at / 4] = dsmAt;
      words[ClusterControl.fresh_page / 4] = controlBytes / 4096;
      words[ClusterControl.control_bytes / 4] = controlBytes;
      words[ClusterControl.total_bytes / 4] = memory.byteLength;
      words[ClusterControl.wanted_bytes / 4] = memory.byteLength;
      words[participantsAt / 4] = participants;
      const header = dsmAt / 4;
      if (header < words.length) words.set([words[0]!, 0, segments], header);
      return codeOf(() => Dsm.join({ ...dsm.handle, control: memory }).leave());
    };
    expect([forge(800, 4096), forge(1, 1), forge(3, 200, store === 'region' ? 1 : 0)]).toEqual(
      Array(3).fill('nothing'),
    );
    const refused = [forge(801, 100), forge(2, 4097), forge(4, 300, -1), forge(4, 4096, -20)];
    expect(refused).toEqual(Array(4).fill('ERR_HEAP_BAD_HANDLE'));
  });

  it('is refused when the memory was cut off or copied elsewhere', () => {
    const { control } = dsm.handle;
    const copy = (bytes: number) => {
      const memory = new SharedArrayBuffer(bytes);
      const words = Math.min(bytes, dsm.control.byteLength) / 4;
      new Int32Array(memory, 0, words).set(dsm.control.subarray(0, words));
      return memory;
    };
    for (const bytes of [control.byteLength - 4096, control.byteLength + 4096, dsm.control.byteLength - 4096, 4096]) {
      expect(codeOf(() => Dsm.join({ ...dsm.handle, control: copy(bytes) }))).toBe('ERR_HEAP_BAD_HANDLE');
    }
  });
});
