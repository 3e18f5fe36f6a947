/**
 * The model of the property tests: an area with up to three participants, the objects that should be live, and what
 * each must hold. Commands take indexes modulo what there is, so every list of commands can be run, and shrunk.
 */

import fc from 'fast-check';
import { expect } from 'vitest';
import { cachedCounts } from '../../dist/dsa/cache-report.js';
import { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO, DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { boundBytes, expectAccount, expectInvariants, expectNoCache, grantedBytes } from './cache-helpers.js';
import { as, codeOf, MIB, PAGE } from './helpers.js';

/** A live object: its first word and its last, and words in between, are derived from `seed`. */
interface Live {
  readonly pointer: DsaPointer;
  readonly size: number;
  readonly usable: number;
  seed: number;
}

export interface Setup {
  readonly store: 'region' | 'buffers';
  readonly initSegmentSize: number;
  readonly maxFactor: number;
  readonly fallback: boolean;
  readonly cache: boolean;
}

/** Random options: sizes from 256 KiB on, whole pages or not, growing or not. */
export const setups = (cache: boolean): fc.Arbitrary<Setup> =>
  fc.record({
    store: fc.constantFrom('region', 'buffers'),
    initSegmentSize: fc.oneof(fc.constantFrom(262144, 262144, 262144, MIB), fc.integer({ min: 262144, max: 600_000 })),
    maxFactor: fc.constantFrom(1, 1, 2, 5, 2 ** 18),
    fallback: fc.boolean(),
    cache: fc.constant(cache),
  });

/** The word looked at after word `k`: all of a small object; of a larger one its ends and a word of each page. */
function nextWord(k: number, words: number): number {
  return words <= 2048 || k < 255 || k >= words - 256 ? k + 1 : Math.min(k + 1024, words - 256);
}

/** The model and the real thing in one: fast-check makes one for each run. */
export class World {
  readonly setup: Setup;
  readonly creator: Dsm;
  readonly participants: { dsm: Dsm; area: DsaArea }[] = [];
  readonly live: Live[] = [];
  /** Pointers freed and not handed out since. */
  readonly dead: DsaPointer[] = [];
  limit = Number.POSITIVE_INFINITY;
  /** Most room that caches may have: a limit that was lowered leaves them what they had. */
  private bound = 0;
  private seeds = 1;
  private checks = 0;

  constructor(setup: Setup) {
    this.setup = setup;
    const { store, initSegmentSize, maxFactor, fallback, cache } = setup;
    this.creator = Dsm.create({ store, regionSize: 96 * MIB, lockTimeout: 5000, attachTimeout: 5000 });
    const maxSegmentSize = Math.min(initSegmentSize * maxFactor, 2 ** 40);
    const area = DsaArea.create(this.creator, { initSegmentSize, maxSegmentSize, fallback, cache });
    this.participants.push({ dsm: this.creator, area });
    this.bound = cache ? boundBytes(area) : 0;
  }

  area(who: number): DsaArea {
    return this.participants[who % this.participants.length]!.area;
  }

  write(area: DsaArea, object: Live): void {
    object.seed = Math.imul(this.seeds++, 0x9e3779b1);
    const { buffer, byteOffset } = area.getAddress(object.pointer)!;
    const words = new Int32Array(buffer, byteOffset, object.usable / 4);
    for (let k = 0; k < words.length; k = nextWord(k, words.length)) words[k] = object.seed ^ k;
  }

  /** What is wrong with an object, or the empty string. */
  private damage(area: DsaArea, { pointer, usable, seed }: Live): string {
    if (area.sizeOf(pointer) !== usable)
      return `${pointer.toString(16)} has ${area.sizeOf(pointer)} bytes, not ${usable}`;
    const { buffer, byteOffset } = area.getAddress(pointer)!;
    const words = new Int32Array(buffer, byteOffset, usable / 4);
    for (let k = 0; k < words.length; k = nextWord(k, words.length)) {
      if (words[k] !== (seed ^ k)) return `${pointer.toString(16)} of ${usable} bytes: word ${k} is ${words[k]}`;
    }
    return '';
  }

  allocate(who: number, size: number, flags: number): void {
    const area = this.area(who);
    const before = area.getTotalSize();
    const code = codeOf(() => {
      const pointer = area.allocate(size, flags);
      if (pointer === 0) {
        expect(flags & DSA_ALLOC_NO_OOM).not.toBe(0);
        return;
      }
      const usable = area.sizeOf(pointer);
      expect(usable).toBeGreaterThanOrEqual(size);
      if ((flags & DSA_ALLOC_ZERO) !== 0) {
        const { buffer, byteOffset } = area.getAddress(pointer)!;
        expect(new Uint8Array(buffer, byteOffset, size).every((byte) => byte === 0)).toBe(true);
      }
      const object = { pointer, size, usable, seed: 0 };
      this.write(area, object);
      this.live.push(object);
      const again = this.dead.indexOf(pointer);
      if (again >= 0) this.dead.splice(again, 1);
    });
    if (code !== 'nothing') {
      expect(code).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(flags & DSA_ALLOC_NO_OOM).toBe(0);
    }
    const total = area.getTotalSize();
    if (total > before) expect(total).toBeLessThanOrEqual(this.limit);
  }

  free(who: number, which: number): void {
    if (this.live.length === 0) return;
    const at = which % this.live.length;
    const { pointer } = this.live[at]!;
    this.live.splice(at, 1);
    this.area(who).free(pointer);
    this.dead.push(pointer);
    if (this.dead.length > 50) this.dead.shift();
  }

  /** A new object with the old contents, then the old one goes: what realloc does. */
  move(who: number, which: number, size: number): void {
    if (this.live.length === 0) return;
    const area = this.area(who);
    const old = this.live[which % this.live.length]!;
    const count = this.live.length;
    this.allocate(who, size, DSA_ALLOC_NO_OOM);
    if (this.live.length === count) return;
    const fresh = this.live.at(-1)!;
    const words = ({ pointer, usable }: Live): Int32Array => {
      const { buffer, byteOffset } = area.getAddress(pointer)!;
      return new Int32Array(buffer, byteOffset, usable / 4);
    };
    const common = Math.min(old.usable, fresh.usable) / 4;
    words(fresh).set(words(old).subarray(0, common));
    const [a, b] = [words(old).subarray(0, common), words(fresh).subarray(0, common)];
    expect(a.every((word, k) => word === b[k])).toBe(true);
    this.write(area, fresh);
    this.free(who + 1, this.live.indexOf(old));
  }

  /** Frees what is not the start of a live object; nothing may come of it. */
  freeWrong(who: number, which: number, offset: number): void {
    const area = this.area(who);
    const inside = this.live.length > 0 && offset > 0;
    const { pointer, usable } = inside ? this.live[which % this.live.length]! : { pointer: 0, usable: 0 };
    const wrong = inside ? pointer + 1 + (offset % (usable - 1)) : (this.dead[which % this.dead.length] ?? 8);
    expect(codeOf(() => area.free(as(wrong)))).toMatch(/^ERR_HEAP_(DOUBLE_FREE|INTERIOR|FOREIGN|MISALIGNED|STALE)/);
    expect(area.isLive(as(wrong))).toBe(false);
  }

  attach(): void {
    if (this.participants.length === 3) return;
    const dsm = Dsm.join(this.creator.handle);
    this.participants.push({ dsm, area: DsaArea.attach(dsm, this.participants[0]!.area.handle) });
  }

  detach(): void {
    if (this.participants.length === 1) return;
    const { dsm, area } = this.participants.pop()!;
    if (this.live.length % 2 === 0) area.detach();
    dsm.leave();
  }

  setLimit(room: number): void {
    const area = this.area(0);
    this.limit = room === 0 ? Number.POSITIVE_INFINITY : area.getTotalSize() + room - MIB;
    if (this.limit < 0) this.limit = 0;
    const had = grantedBytes(area);
    area.setSizeLimit(this.limit);
    this.bound = this.setup.cache ? Math.max(had, boundBytes(area)) : 0;
  }

  /** What must hold after every command, as the participants see it by turns. */
  check(): void {
    const area = this.area(this.checks++);
    const { ok, findings, accounting } = area.verify();
    expect([ok, findings.filter(({ severity }) => severity === 'error')]).toEqual([true, []]);
    expect(this.live.map((object) => this.damage(area, object)).filter((text) => text !== '')).toEqual([]);
    const large = this.live.filter(({ usable }) => usable > 8192).reduce((sum, { usable }) => sum + usable / PAGE, 0);
    const cached = cachedCounts(area.state).largePages;
    expect(accounting.reduce((sum, segment) => sum + segment.large, 0)).toBe(large + cached);
    const { liveObjects, liveBytes } = expectAccount(area);
    expect(liveObjects).toBe(this.live.length);
    expect(liveBytes).toBe(this.live.reduce((sum, { usable }) => sum + usable, 0));
    for (const one of this.participants) expectInvariants(one.area);
    expect(grantedBytes(area)).toBeLessThanOrEqual(this.bound);
  }

  /** Nobody keeps anything at hand any more. */
  emptyCaches(): void {
    for (const { area } of this.participants) area.trim();
    expectNoCache(this.area(0));
  }

  close(): void {
    while (this.participants.length > 1) this.detach();
    this.creator.leave();
  }
}

/** A command is a function with its text, so that a failing list can be read. */
type Command = fc.Command<World, World>;

function command(text: string, act: (world: World) => void): Command {
  return {
    check: () => true,
    run: (world) => {
      act(world);
      world.check();
    },
    toString: () => text,
  };
}

const who = fc.nat(2);
const which = fc.nat(10_000);
const sizes = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 200 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 8192 }) },
  { weight: 2, arbitrary: fc.constantFrom(4095, 4096, 4097, 8191, 8192, 8193, 12288, 65536) },
  { weight: 3, arbitrary: fc.integer({ min: 8193, max: 300_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 300_000, max: 3_000_000 }) },
);
const flags = fc.constantFrom(
  0,
  0,
  0,
  DSA_ALLOC_NO_OOM,
  DSA_ALLOC_ZERO,
  DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO | DSA_ALLOC_HUGE,
);

const allocateMany = fc.tuple(who, sizes, fc.integer({ min: 5, max: 90 })).map(([w, size, n]) =>
  command(`${w}: ${n} times allocate ${1 + (size % 20_000)}`, (m) => {
    for (let k = 0; k < n; k++) m.allocate(w, 1 + (size % 20_000), DSA_ALLOC_NO_OOM);
  }),
);

/** All commands with their arguments; twice what makes the area grow. */
export const commands: fc.Arbitrary<Command>[] = [
  allocateMany,
  allocateMany,
  fc
    .tuple(who, sizes, flags)
    .map(([w, size, f]) => command(`${w}: allocate ${size}, ${f}`, (m) => m.allocate(w, size, f))),
  fc.tuple(who, which).map(([w, k]) => command(`${w}: free #${k}`, (m) => m.free(w, k))),
  fc.tuple(who, which, fc.integer({ min: 5, max: 80 })).map(([w, from, n]) =>
    command(`${w}: free ${n} from #${from}`, (m) => {
      for (let k = 0; k < n; k++) m.free(w, from + k * (from % 3));
    }),
  ),
  fc.tuple(who, which, sizes).map(([w, k, size]) => command(`${w}: move #${k} to ${size}`, (m) => m.move(w, k, size))),
  fc.tuple(who, which).map(([w, k]) =>
    command(`${w}: write #${k}`, (m) => {
      if (m.live.length > 0) m.write(m.area(w), m.live[k % m.live.length]!);
    }),
  ),
  fc
    .tuple(who, which, fc.nat(5000))
    .map(([w, k, o]) => command(`${w}: free wrongly #${k} + ${o}`, (m) => m.freeWrong(w, k, o))),
  who.map((w) => command(`${w}: trim`, (m) => m.area(w).trim())),
  fc
    .constantFrom(0, 0, 0, 0, 1, MIB, 2 * MIB, 5 * MIB)
    .map((room) => command(`limit ${room}`, (m) => m.setLimit(room))),
  fc.constant(command('attach', (m) => m.attach())),
  fc.constant(command('detach', (m) => m.detach())),
];
