/**
 * Replays traces of dynamic shared memory segments, kind `dsm`: one participant, whose mappings are named by ids.
 *
 * A handle stays known after its mapping is gone, so that a trace can try to attach to what was destroyed. After
 * everything that may take mappings away (a detach, the end of a scope) the ids are compared with what the
 * participant really has mapped.
 */

import { DSM_CREATE_NULL_IF_MAXSEGMENTS, type Dsm, type DsmSegment, ResourceOwner } from '../dsm/dsm.js';
import { BadOperation, count, openCluster, runOps, wide, word, type Report, type StoreKind } from './replay-ops.js';

/** The state of one `dsm` trace. */
class DsmReplay {
  readonly #dsm: Dsm;
  readonly #segments = new Map<string, DsmSegment>();
  readonly #handles = new Map<string, number>();
  #outer: ResourceOwner | null = null;
  #scope: ResourceOwner | null = null;
  /** Tags of the callbacks that ran during this operation, each as ` cbTAG`. */
  #log = '';
  /** One function for all registrations: cancelling compares function and argument. */
  readonly #note = (_segment: DsmSegment, tag: unknown): void => {
    this.#log += ` cb${String(tag)}`;
  };

  constructor(dsm: Dsm) {
    this.#dsm = dsm;
  }

  #segment(words: string[], at = 1): DsmSegment {
    const segment = this.#segments.get(word(words, at));
    if (segment === undefined) throw new BadOperation('the id is not attached');
    return segment;
  }

  #handle(words: string[], at = 1): number {
    const handle = this.#handles.get(word(words, at));
    if (handle === undefined) throw new BadOperation('the id was never created');
    return handle;
  }

  #freshId(words: string[]): string {
    const id = word(words, 1);
    if (this.#segments.has(id)) throw new BadOperation('the id is in use');
    return id;
  }

  #remember(id: string, segment: DsmSegment): void {
    this.#segments.set(id, segment);
    this.#handles.set(id, segment.handle);
  }

  /** Forgets ids whose mapping is gone. */
  #resync(): void {
    for (const [id, segment] of this.#segments) {
      if (this.#dsm.findMapping(this.#handles.get(id)!) !== segment) this.#segments.delete(id);
    }
  }

  #byte(words: string[]): Uint8Array {
    const segment = this.#segment(words);
    const offset = count(words, 2);
    if (offset >= segment.mapLength) throw new BadOperation('the offset is outside the segment');
    return new Uint8Array(segment.buffer, segment.byteOffset + offset, 1);
  }

  #create(words: string[]): string {
    const id = this.#freshId(words);
    const flags = words.includes('null_if_max', 3) ? DSM_CREATE_NULL_IF_MAXSEGMENTS : 0;
    const segment = this.#dsm.create(wide(words, 2), flags);
    if (segment === null) return 'null';
    this.#remember(id, segment);
    return `ok length=${segment.mapLength} handle=${segment.handle % 2 === 0 ? 'even' : 'odd'}`;
  }

  #attach(words: string[]): string {
    const id = this.#freshId(words);
    const segment = this.#dsm.attach(this.#handle(words, 2));
    if (segment === null) return 'null';
    this.#remember(id, segment);
    return `ok length=${segment.mapLength}`;
  }

  #beginScope(): void {
    if (this.#scope !== null) throw new BadOperation('scopes do not nest');
    this.#outer = this.#dsm.currentOwner;
    this.#scope = new ResourceOwner(this.#dsm, 'replay scope', this.#outer, 'array');
    this.#dsm.currentOwner = this.#scope;
  }

  /** Ends the scope as an error would: silently, newest mapping first. */
  abortScope(): void {
    const scope = this.#scope;
    if (scope === null) return;
    this.#scope = null;
    this.#dsm.currentOwner = this.#outer;
    scope.release(false);
    this.#resync();
  }

  step(words: string[]): string {
    this.#log = '';
    switch (word(words, 0)) {
      case 'create':
        return this.#create(words);
      case 'attach':
        return this.#attach(words);
      case 'find_mapping':
        return this.#dsm.findMapping(this.#handle(words)) === null ? 'none' : 'found';
      case 'read':
        return String(this.#byte(words)[0]);
      default:
        this.#quietly(words);
        return `ok${this.#log}`;
    }
  }

  /** The operations whose result is `ok`, followed by the callbacks that ran. */
  #quietly(words: string[]): void {
    switch (words[0]) {
      case 'detach':
        this.#segment(words).detach();
        return this.#resync();
      case 'pin_mapping':
        return this.#segment(words).pinMapping();
      case 'unpin_mapping':
        return this.#segment(words).unpinMapping();
      case 'pin_segment':
        return this.#segment(words).pinSegment();
      case 'unpin_segment':
        return this.#dsm.unpinSegment(this.#handle(words));
      case 'on_detach':
        return this.#segment(words).onDetach(this.#note, count(words, 2));
      case 'cancel_on_detach':
        return this.#segment(words).cancelOnDetach(this.#note, count(words, 2));
      case 'write':
        this.#byte(words)[0] = count(words, 3);
        return;
      case 'scope_begin':
        return this.#beginScope();
      case 'scope_abort':
        return this.abortScope();
      default:
        throw new BadOperation(`unknown operation ${words[0]}`);
    }
  }
}

/**
 * Replays a trace of kind `dsm` on a cluster of its own. Blocks; any thread that may block.
 *
 * @param ops the operations of the trace
 * @param store where segments lie
 * @param report gets one result for each operation, in order
 */
export function replayDsm(ops: readonly string[], store: StoreKind, report: Report): void {
  const dsm = openCluster(store);
  const replay = new DsmReplay(dsm);
  runOps(ops, report, (words) => replay.step(words));
  replay.abortScope();
  dsm.leave();
}
