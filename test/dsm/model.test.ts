/**
 * Several participants of one cluster in one thread, against a model of its slots: a list of segments with their
 * references, and for each participant what it has mapped. After every command the whole cluster is compared: slots,
 * reference counts, contents of every mapping, and the cluster's own check of itself.
 */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { Dsm, DSM_CREATE_NULL_IF_MAXSEGMENTS, type DsmSegment, ResourceOwner } from '../../dist/dsm/dsm.js';
import {
  codeOf,
  firstNonZero,
  lostPages,
  makeCluster,
  requireEmpty,
  requireSound,
  type Store,
  STORES,
} from './helpers.js';

const SLOTS = 6;
const PARTICIPANTS = 4;

interface ModelSegment {
  readonly id: number;
  readonly size: number;
  pinned: boolean;
  /** What every word of it holds. */
  fill: number;
}

/** What a participant has mapped: the segment's id, and the number of the scope that owns it (-1: none). */
interface ModelMapping {
  readonly id: number;
  scope: number;
}

interface Model {
  /** By slot; null is free. */
  slots: (ModelSegment | null)[];
  /** By participant, mappings in order of their making; null is not joined. */
  members: (ModelMapping[] | null)[];
  /** Open scopes of each participant, outermost first; the numbers count all that were ever opened. */
  scopes: number[][];
  opened: number;
  created: number;
}

interface Member {
  readonly dsm: Dsm;
  readonly mapped: Map<number, DsmSegment>;
  readonly owners: { readonly number: number; readonly owner: ResourceOwner }[];
}

interface Real {
  readonly store: Store;
  readonly members: (Member | null)[];
  /** Handles of all segments that ever were, by id. */
  readonly handles: Map<number, number>;
  /** Ids in the order in which mappings went away, as the callbacks tell. */
  gone: number[];
}

function fail(what: string, detail: unknown): never {
  throw new Error(`${what}: ${JSON.stringify(detail)}`);
}

function equal(what: string, found: unknown, expected: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(expected)) fail(what, { found, expected });
}

const references = (m: Model, id: number) =>
  m.members.flatMap((mappings) => mappings ?? []).filter((x) => x.id === id).length;
const slotOf = (m: Model, id: number) => m.slots.findIndex((s) => s?.id === id);

/** Frees the slots that nothing refers to. */
function settle(m: Model): void {
  m.slots = m.slots.map((s) => (s !== null && !s.pinned && references(m, s.id) === 0 ? null : s));
}

function remember(r: Real, member: Member, id: number, segment: DsmSegment): void {
  r.handles.set(id, segment.handle);
  member.mapped.set(id, segment);
  segment.onDetach(() => {
    r.gone.push(id);
    member.mapped.delete(id);
  }, id);
}

function compare(m: Model, r: Real): void {
  const live = m.members.findIndex((x) => x !== null);
  const { dsm } = r.members[live]!;
  const expected = m.slots.flatMap((s, slot) =>
    s === null
      ? []
      : [
          {
            handle: r.handles.get(s.id),
            slot,
            size: s.size,
            reserved: Math.ceil(s.size / 4096) * 4096,
            references: references(m, s.id) + (s.pinned ? 1 : 0),
            pinned: s.pinned,
          },
        ],
  );
  const stats = dsm.stats();
  equal('slots', stats.segments, expected);
  equal('participants', stats.participants, m.members.filter((x) => x !== null).length);
  if (new Set(expected.map((s) => s.handle)).size !== expected.length) fail('two segments have one handle', expected);
  for (const [i, member] of r.members.entries()) {
    equal(`mappings of ${i}`, [...(member?.mapped.keys() ?? [])], m.members[i]?.map((x) => x.id) ?? []);
    for (const [id, segment] of member?.mapped ?? []) {
      const { fill, size } = m.slots[slotOf(m, id)]!;
      equal('length', [segment.mapLength, segment.mapped], [size, true]);
      if (segment.i32.some((word) => word !== fill)) fail('contents', { id, fill });
      if (member!.dsm.findMapping(segment.handle) !== segment) fail('findMapping', { id });
    }
  }
  requireSound(dsm);
  if (r.store === 'region') lostPages(dsm);
}

type Command = fc.Command<Model, Real>;

/** A command of participant `who`; `run` does it in both, and the rest is compared. */
abstract class Step implements Command {
  readonly who: number;
  constructor(who: number) {
    this.who = who;
  }
  check(m: Model): boolean {
    return m.members[this.who] !== null;
  }
  run(m: Model, r: Real): void {
    r.gone = [];
    this.both(m, r, m.members[this.who]!, r.members[this.who]!);
    compare(m, r);
  }
  abstract both(m: Model, r: Real, mappings: ModelMapping[], member: Member): void;
  toString(): string {
    const args = Object.entries(this).map(([key, value]) => `${key} ${String(value)}`);
    return `${this.constructor.name}(${args.join(', ')})`;
  }
}

/** The scope that new mappings of a participant get. */
const scopeOf = (m: Model, who: number) => m.scopes[who]!.at(-1) ?? -1;

class Create extends Step {
  readonly size: number;
  readonly quiet: boolean;
  constructor(who: number, size: number, quiet: boolean) {
    super(who);
    this.size = size;
    this.quiet = quiet;
  }
  both(m: Model, r: Real, mappings: ModelMapping[], member: Member): void {
    const slot = m.slots.indexOf(null);
    const make = () => member.dsm.create(this.size, this.quiet ? DSM_CREATE_NULL_IF_MAXSEGMENTS : 0);
    if (slot < 0) {
      if (this.quiet) equal('no slot', make(), null);
      else equal('no slot', codeOf(make), 'ERR_HEAP_SEGMENT_SLOTS');
      return;
    }
    const segment = make()!;
    if (firstNonZero(segment.buffer, segment.byteOffset, segment.i32.byteLength) >= 0) fail('not zero', this.size);
    const id = m.created++;
    m.slots[slot] = { id, size: this.size, pinned: false, fill: 0 };
    mappings.push({ id, scope: scopeOf(m, this.who) });
    remember(r, member, id, segment);
  }
}

/** A command about one of the segments that ever were: `pick` modulo their number, the newest first. */
abstract class OnSegment extends Step {
  readonly pick: number;
  constructor(who: number, pick: number) {
    super(who);
    this.pick = pick;
  }
  override check(m: Model): boolean {
    return super.check(m) && m.created > 0;
  }
  both(m: Model, r: Real, mappings: ModelMapping[], member: Member): void {
    const id = m.created - 1 - (this.pick % Math.min(m.created, 9));
    const at = mappings.findIndex((x) => x.id === id);
    this.one(m, r, { id, at, slot: m.slots[slotOf(m, id)] ?? null }, mappings, member);
  }
  abstract one(
    m: Model,
    r: Real,
    target: { id: number; at: number; slot: ModelSegment | null },
    mappings: ModelMapping[],
    member: Member,
  ): void;
}

type Target = Parameters<OnSegment['one']>[2];

class Attach extends OnSegment {
  one(m: Model, r: Real, { id, at, slot }: Target, mappings: ModelMapping[], member: Member): void {
    const attach = () => member.dsm.attach(r.handles.get(id)!);
    if (at >= 0) equal('attach', codeOf(attach), 'ERR_HEAP_ALREADY_ATTACHED');
    else if (slot === null) equal('attach', attach(), null);
    else {
      remember(r, member, id, attach()!);
      mappings.push({ id, scope: scopeOf(m, this.who) });
    }
  }
}

class Detach extends OnSegment {
  one(m: Model, r: Real, { id, at }: Target, mappings: ModelMapping[], member: Member): void {
    if (at < 0) return;
    member.mapped.get(id)!.detach();
    mappings.splice(at, 1);
    settle(m);
    equal('callbacks', r.gone, [id]);
  }
}

class Write extends OnSegment {
  one(_: Model, __: Real, { id, at, slot }: Target, ___: ModelMapping[], member: Member): void {
    if (at < 0) return;
    slot!.fill = 1 + this.pick;
    member.mapped.get(id)!.i32.fill(slot!.fill);
  }
}

class PinSegment extends OnSegment {
  one(_: Model, __: Real, { id, at, slot }: Target, ___: ModelMapping[], member: Member): void {
    if (at < 0) return;
    equal(
      'pin',
      codeOf(() => member.mapped.get(id)!.pinSegment()),
      slot!.pinned ? 'ERR_HEAP_ALREADY_PINNED' : 'nothing',
    );
    slot!.pinned = true;
  }
}

class UnpinSegment extends OnSegment {
  one(m: Model, r: Real, { id, slot }: Target, _: ModelMapping[], member: Member): void {
    const expected = slot === null ? 'ERR_HEAP_SEGMENT_GONE' : slot.pinned ? 'nothing' : 'ERR_HEAP_NOT_PINNED';
    equal(
      'unpin',
      codeOf(() => member.dsm.unpinSegment(r.handles.get(id)!)),
      expected,
    );
    if (slot !== null) slot.pinned = false;
    settle(m);
  }
}

class PinMapping extends OnSegment {
  one(_: Model, __: Real, { id, at }: Target, mappings: ModelMapping[], member: Member): void {
    if (at < 0) return;
    member.mapped.get(id)!.pinMapping();
    mappings[at]!.scope = -1;
  }
}

class BeginScope extends Step {
  override check(m: Model): boolean {
    return super.check(m) && m.scopes[this.who]!.length < 3;
  }
  both(m: Model, _: Real, __: ModelMapping[], member: Member): void {
    const number = m.opened++;
    const owner = new ResourceOwner(member.dsm, `scope ${number}`, member.dsm.currentOwner);
    member.owners.push({ number, owner });
    member.dsm.currentOwner = owner;
    m.scopes[this.who]!.push(number);
  }
}

/** Ends a scope, and with it those inside. */
class EndScope extends Step {
  readonly depth: number;
  constructor(who: number, depth: number) {
    super(who);
    this.depth = depth;
  }
  override check(m: Model): boolean {
    return super.check(m) && m.scopes[this.who]!.length > 0;
  }
  both(m: Model, r: Real, mappings: ModelMapping[], member: Member): void {
    const depth = this.depth % member.owners.length;
    const { owner } = member.owners[depth]!;
    member.dsm.currentOwner = member.owners[depth - 1]?.owner ?? null;
    member.owners.splice(depth);
    const ended = m.scopes[this.who]!.splice(depth);
    // The innermost first; in each, what was made last first.
    const expected = ended.reverse().flatMap((n) => mappings.filter((x) => x.scope === n).reverse());
    equal('detached', owner.release(), expected.length);
    equal(
      'order',
      r.gone,
      expected.map((x) => x.id),
    );
    m.members[this.who] = mappings.filter((x) => !expected.includes(x));
    settle(m);
  }
}

class Join extends Step {
  override check(m: Model): boolean {
    return m.members[this.who] === null;
  }
  both(m: Model, r: Real): void {
    const { handle } = r.members.find((x) => x !== null)!.dsm;
    r.members[this.who] = { dsm: Dsm.join(handle), mapped: new Map(), owners: [] };
    m.members[this.who] = [];
    m.scopes[this.who] = [];
  }
}

class Leave extends Step {
  override check(m: Model): boolean {
    return super.check(m) && m.members.filter((x) => x !== null).length > 1;
  }
  both(m: Model, r: Real, mappings: ModelMapping[], member: Member): void {
    member.dsm.leave();
    equal('order', r.gone, mappings.map((x) => x.id).reverse());
    r.members[this.who] = null;
    m.members[this.who] = null;
    settle(m);
  }
}

const who = fc.nat(PARTICIPANTS - 1);
const pick = fc.nat(8);
const size = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 20_000 }));
const on = (Kind: new (who: number, pick: number) => Command) => fc.tuple(who, pick).map(([w, p]) => new Kind(w, p));
const of = (Kind: new (who: number) => Command) => who.map((w) => new Kind(w));
const create = fc.tuple(who, size, fc.boolean()).map(([w, s, quiet]) => new Create(w, s, quiet));
const commands = fc.commands(
  [
    create,
    create,
    on(Attach),
    on(Attach),
    on(Detach),
    on(Write),
    on(PinSegment),
    on(UnpinSegment),
    on(PinMapping),
    of(BeginScope),
    fc.tuple(who, fc.nat(2)).map(([w, d]) => new EndScope(w, d)),
    of(Join),
    of(Leave),
  ],
  { maxCommands: 100, size: 'max' },
);

describe.each(STORES)('several participants on %s', (store) => {
  it('agree with the model', () => {
    fc.assert(
      fc.property(commands, (cmds) => {
        const first = makeCluster(store, { segments: SLOTS, participants: PARTICIPANTS, regionSize: 4 * 2 ** 20 });
        const members: (Member | null)[] = Array.from({ length: PARTICIPANTS }, () => null);
        for (const [i, dsm] of [first, Dsm.join(first.handle), Dsm.join(first.handle)].entries()) {
          members[i] = { dsm, mapped: new Map(), owners: [] };
        }
        const real: Real = { store, members, handles: new Map(), gone: [] };
        const setup = () => ({
          model: {
            slots: Array.from({ length: SLOTS }, () => null),
            members: members.map((x) => (x === null ? null : [])),
            scopes: members.map(() => []),
            opened: 0,
            created: 0,
          },
          real,
        });
        fc.modelRun(setup, cmds);
        const left = members.filter((x) => x !== null);
        const last = left.pop()!.dsm;
        for (const { dsm } of left) dsm.leave();
        for (const segment of last.stats().segments) if (segment.pinned) last.unpinSegment(segment.handle);
        for (const segment of last.stats().segments) last.findMapping(segment.handle)!.detach();
        requireEmpty(last);
        last.leave();
      }),
      { numRuns: 400 },
    );
  });
});
