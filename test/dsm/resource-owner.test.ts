import { describe, expect, it } from 'vitest';
import { Dsm, type DsmSegment, ResourceOwner } from '../../dist/dsm/dsm.js';
import { codeOf, errorOf, make, makeCluster, requireEmpty, STORES } from './helpers.js';

describe.each(STORES)('resource owners on %s', (store) => {
  const setting = () => {
    const dsm = makeCluster(store);
    const log: unknown[] = [];
    const note = (_: DsmSegment, arg: unknown) => void log.push(arg);
    /** A mapping of `owner` that notes when it is detached. */
    const add = (owner: ResourceOwner | null, tag: unknown) => {
      dsm.currentOwner = owner;
      const segment = make(dsm, 100);
      segment.onDetach(note, tag);
      dsm.currentOwner = null;
      return segment;
    };
    return { dsm, log, note, add };
  };

  it('detach what was made while they were current, newest first, and nothing else', () => {
    const { dsm, log, add } = setting();
    const owner = new ResourceOwner(dsm, 'scope');
    const outside = add(null, 'outside');
    for (const tag of [1, 2, 3]) add(owner, tag);
    expect(owner.release()).toBe(3);
    expect(log).toEqual([3, 2, 1]);
    expect(outside.mapped).toBe(true);
    expect(owner.release()).toBe(0);
    outside.detach();
    requireEmpty(dsm);
    dsm.leave();
  });

  it('own attached mappings as well as created ones', () => {
    const { dsm: a } = setting();
    const b = Dsm.join(a.handle);
    const theirs = make(b, 100);
    const owner = new ResourceOwner(a, 'scope');
    a.currentOwner = owner;
    const mapping = a.attach(theirs.handle)!;
    expect(b.stats().segments).toMatchObject([{ references: 2 }]);
    expect(owner.release(true)).toBe(1);
    expect([mapping.mapped, theirs.mapped]).toEqual([false, true]);
    expect(b.stats().segments).toMatchObject([{ references: 1 }]);
    a.currentOwner = null;
    b.leave();
    a.leave();
  });

  it('release children before themselves, the newest child first, whole branches at a time', () => {
    const { dsm, log, add } = setting();
    const top = new ResourceOwner(dsm, 'top');
    add(top, 'top 1');
    const left = new ResourceOwner(dsm, 'left', top);
    add(left, 'left 1');
    const right = new ResourceOwner(dsm, 'right', top);
    const leaf = new ResourceOwner(dsm, 'leaf', right);
    add(right, 'right 1');
    add(leaf, 'leaf 1');
    add(leaf, 'leaf 2');
    add(top, 'top 2');
    expect(top.release()).toBe(6);
    expect(log).toEqual(['leaf 2', 'leaf 1', 'right 1', 'left 1', 'top 2', 'top 1']);
    for (const owner of [top, left, right, leaf]) expect(owner.release()).toBe(0);
    requireEmpty(dsm);
    dsm.leave();
  });

  it('are forgotten by their parent when they are released first', () => {
    const { dsm, log, add } = setting();
    const top = new ResourceOwner(dsm, 'top');
    const child = new ResourceOwner(dsm, 'child', top);
    const other = new ResourceOwner(dsm, 'other', top);
    add(top, 'top');
    add(child, 'child');
    add(other, 'other');
    expect(child.release()).toBe(1);
    expect(top.release()).toBe(2);
    expect(log).toEqual(['child', 'other', 'top']);
    dsm.leave();
  });

  it('let go of what is detached or pinned meanwhile, and take up what is unpinned', () => {
    const { dsm, log, add } = setting();
    const owner = new ResourceOwner(dsm, 'scope');
    const [a, b, c] = [add(owner, 'a'), add(owner, 'b'), add(owner, 'c')];
    const outside = add(null, 'outside');
    a.detach();
    b.pinMapping();
    b.pinMapping();
    dsm.currentOwner = owner;
    outside.unpinMapping();
    expect(codeOf(() => outside.unpinMapping())).toBe('ERR_HEAP_NOT_PINNED');
    expect(codeOf(() => c.unpinMapping())).toBe('ERR_HEAP_NOT_PINNED');
    dsm.currentOwner = null;
    expect(owner.release()).toBe(2);
    expect(log).toEqual(['a', 'outside', 'c']);
    expect([b.mapped, c.mapped, outside.mapped]).toEqual([true, false, false]);
    // With no current owner, the mapping stays with the session.
    b.unpinMapping();
    dsm.leave();
    expect(log).toEqual(['a', 'outside', 'c', 'b']);
  });

  it('release in the order of the old array when asked to', () => {
    const { dsm, log, add } = setting();
    const owner = new ResourceOwner(dsm, 'scope', null, 'array');
    const segments = [1, 2, 3, 4, 5, 6].map((tag) => add(owner, tag));
    segments[4]!.pinMapping();
    segments[0]!.pinMapping();
    expect(owner.release()).toBe(4);
    expect(log).toEqual([6, 4, 3, 2]);
    dsm.leave();
  });

  it('detach everything when callbacks throw, and throw the first error then', () => {
    const { dsm, log, add } = setting();
    const top = new ResourceOwner(dsm, 'top');
    const child = new ResourceOwner(dsm, 'child', top);
    const fail = (_: DsmSegment, arg: string) => {
      throw new Error(arg);
    };
    add(top, 'top 1');
    add(top, 'top 2').onDetach(fail, 'third error');
    add(child, 'child 1').onDetach(fail, 'second error');
    add(child, 'child 2').onDetach(fail, 'first error');
    expect(errorOf(() => top.release()).message).toBe('first error');
    expect(log).toEqual(['child 2', 'child 1', 'top 2', 'top 1']);
    requireEmpty(dsm);
    dsm.leave();
  });

  it('stay in order when callbacks release owners and detach mappings of the same tree', () => {
    const { dsm, log, add } = setting();
    const top = new ResourceOwner(dsm, 'top');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => new ResourceOwner(dsm, name, top));
    const topSegment = add(top, 'top');
    add(a!, 'a');
    add(b!, 'b');
    add(c!, 'c').onDetach(() => {
      expect(a!.release()).toBe(1);
      expect(top.release()).toBe(0);
      expect(c!.release()).toBe(0);
      topSegment.detach();
    }, 0);
    // The mapping that the callback detached is not counted as one that the owner had to detach.
    expect(top.release()).toBe(2);
    expect(log).toEqual(['a', 'top', 'c', 'b']);
    requireEmpty(dsm);
    dsm.leave();
  });

  it('take nothing new once they are released, not even while they are', () => {
    const { dsm, add } = setting();
    const owner = new ResourceOwner(dsm, 'scope');
    const codes: string[] = [];
    const pinned = add(null, 'pinned');
    add(owner, 0).onDetach(() => {
      dsm.currentOwner = owner;
      codes.push(codeOf(() => dsm.create(100)));
      codes.push(codeOf(() => new ResourceOwner(dsm, 'child', owner)));
      codes.push(codeOf(() => pinned.unpinMapping()));
    }, 0);
    owner.release();
    expect(codes).toEqual(['ERR_HEAP_CLOSED', 'ERR_HEAP_CLOSED', 'ERR_HEAP_CLOSED']);
    const before = dsm.stats();
    expect(codeOf(() => dsm.create(100))).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => dsm.attach(pinned.handle))).toBe('ERR_HEAP_CLOSED');
    expect(dsm.stats()).toEqual(before);
    dsm.currentOwner = null;
    make(dsm, 100);
    dsm.leave();
  });

  it('have nothing left to do after the participant has left', () => {
    const { dsm, log, add } = setting();
    const owner = new ResourceOwner(dsm, 'scope');
    add(owner, 1);
    dsm.leave();
    expect(log).toEqual([1]);
    expect(owner.release()).toBe(0);
    expect(codeOf(() => new ResourceOwner(dsm, 'late'))).toBe('ERR_HEAP_CLOSED');
  });

  it('are refused where they do not belong', () => {
    const { dsm } = setting();
    const other = Dsm.join(dsm.handle);
    const foreign = new ResourceOwner(other, 'foreign');
    const before = dsm.stats();
    for (const bad of [undefined, 1, 'owner', {}, [], foreign, dsm, Number.NaN] as any[]) {
      expect(codeOf(() => (dsm.currentOwner = bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
      if (bad !== undefined) expect(codeOf(() => new ResourceOwner(dsm, 'x', bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const bad of [null, undefined, 1, 'dsm', {}, foreign] as any[]) {
      expect(codeOf(() => new ResourceOwner(bad, 'x'))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const bad of [null, undefined, 1, {}] as any[]) {
      expect(codeOf(() => new ResourceOwner(dsm, bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const bad of [null, 1, 'oldest'] as any[]) {
      expect(codeOf(() => new ResourceOwner(dsm, 'x', null, bad))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(dsm.currentOwner).toBe(null);
    expect(dsm.stats()).toEqual(before);
    other.leave();
    dsm.leave();
  });
});
