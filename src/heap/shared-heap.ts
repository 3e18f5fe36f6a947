/**
 * SharedHeap: the friendly front. One object is one participant's attachment to one heap.
 *
 * Stands on the area (dsa) and its cluster (dsm); adds what a JavaScript program expects: options that are checked,
 * sizes as text, handles that clone, typed arrays and strings, and an end with `close` or `using`. It holds no lock and
 * no shared state of its own. The core speaks of areas, segments and mappings in PostgreSQL's words; here it is heap
 * and object.
 *
 * Life of a heap: it lives while any participant is attached, whoever created it. Closing the last attachment releases
 * it with everything in it; so does the end of the last attached thread, as soon as somebody notices. There is no pin
 * by default.
 */

import { DsaArea } from '../dsa/dsa.js';
import { Dsm } from '../dsm/dsm.js';
import { isSharedHeapError, SharedHeapError } from '../errors/errors.js';
import { type AllocationRow, allocations } from '../inspect/inspect.js';
import { HANDLE_KIND, HANDLE_VERSION, type HeapHandle, requireHandle } from './handle.js';
import type { HeapMap } from './map.js';
import type { MapKeyOf, MapOptions, MapValueOf } from './map-open.js';
import { HeapMaps } from './maps.js';
import { checkParties, type NamedBarrier, openBarrier, requireParties } from './named-barrier.js';
import { syncHome } from './named-block.js';
import { type NamedCondition, openCondition } from './named-condition.js';
import { type NamedLock, openLock } from './named-lock.js';
import { NamedObjects } from './named.js';
import { HeapObjects } from './objects.js';
import { type AttachOptions, checkAttachOptions, checkHeapOptions, type HeapOptions } from './options.js';
import type { QueueOptions } from './queue-options.js';
import { SharedQueue } from './queue.js';
import { parseSize, type Size } from './sizes.js';
import { type HeapReport, type HeapStats, heapStats, verifyHeap, type VerifyOptions } from './stats.js';
import { type Watchable, watchThreads } from './watch.js';

/** The error of an attach that came too late. */
function heapGone(cause: SharedHeapError): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_AREA_GONE', 'the heap was closed by its last participant', {
    detail: cause.detail,
    hint: 'Keep it open as long as threads may start: close it after a pool was destroyed, since a pool may replace a worker that ends.',
    sqlState: cause.sqlState,
    pgMessage: cause.pgMessage,
    cause,
  });
}

/** A heap that several threads share. See {@link SharedHeap.create} and {@link SharedHeap.attach}. */
export class SharedHeap extends HeapObjects {
  readonly #dsm: Dsm;
  readonly #named: NamedObjects;
  readonly #maps = new HeapMaps();
  readonly #stops = new Set<() => void>();
  /** The area from the first {@link close} on until one has succeeded. */
  #ending: DsaArea | null = null;

  private constructor(dsm: Dsm, area: DsaArea) {
    if (!(dsm instanceof Dsm)) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'SharedHeap has no public constructor', {
        hint: 'Use SharedHeap.create(options) or SharedHeap.attach(handle).',
      });
    }
    super(area, dsm.storeKind === 'buffers' ? dsm : null);
    this.#dsm = dsm;
    this.#named = new NamedObjects(dsm, area);
  }

  /**
   * Makes a heap and attaches to it.
   *
   * The heap lives while any participant is attached: the creator may close and the others go on. When the last one has
   * closed, or its thread has ended, the heap and everything in it are gone.
   *
   * @param options see {@link HeapOptions}; all have defaults
   * @returns the first attachment, for this thread
   * @throws ERR_HEAP_BAD_OPTION, ERR_HEAP_HOST_LIMIT (the engine reserves not even a small region),
   *   ERR_HEAP_OUT_OF_MEMORY (the first segment does not fit), ERR_HEAP_UNSUPPORTED (`'buffers'` outside Node.js). Any
   *   thread; does not block. Follows dsa_create.
   */
  static create(options?: HeapOptions): SharedHeap {
    const checked = checkHeapOptions(options);
    const dsm = Dsm.create(checked.dsm);
    return SharedHeap.#enter(dsm, () => {
      const area = DsaArea.create(dsm, checked.area);
      if (checked.limit !== undefined) area.setSizeLimit(checked.limit);
      return area;
    });
  }

  /**
   * Attaches to a heap by its handle. Each attachment is a participant of its own, also when one thread has several,
   * and is closed for itself.
   *
   * Slots and references of participants whose threads are gone are taken back first.
   *
   * @param handle what {@link handle} gave, in this or another thread
   * @param options timeouts of this participant; by default those of the creator
   * @returns this participant's attachment
   * @throws ERR_HEAP_BAD_HANDLE, ERR_HEAP_VERSION, ERR_HEAP_AREA_GONE (no participant is left),
   *   ERR_HEAP_PARTICIPANT_SLOTS, ERR_HEAP_SEGMENT_UNREACHABLE (`'buffers'`), ERR_HEAP_LOCK_STALLED,
   *   ERR_HEAP_BAD_OPTION, ERR_HEAP_UNSUPPORTED. Any thread; may block on the area lock. Follows dsa_attach.
   */
  static attach(handle: HeapHandle, options?: AttachOptions): SharedHeap {
    const checked = requireHandle(handle);
    const timeouts = checkAttachOptions(options);
    const dsm = Dsm.join(checked.dsm, timeouts);
    try {
      return SharedHeap.#enter(dsm, () => DsaArea.attach(dsm, checked.area, { fallback: true }));
    } catch (error) {
      throw isSharedHeapError(error) && error.code === 'ERR_HEAP_AREA_GONE' ? heapGone(error) : error;
    }
  }

  static #enter(dsm: Dsm, enter: () => DsaArea): SharedHeap {
    try {
      return new SharedHeap(dsm, enter());
    } catch (error) {
      dsm.leave();
      throw error;
    }
  }

  /**
   * What another thread needs to attach: a plain object that goes through `workerData`, `postMessage` or a task.
   *
   * Made afresh at each reading. With the `'buffers'` store it holds every buffer known by now, so read it for each
   * worker you start.
   *
   * @throws ERR_HEAP_CLOSED. Any attached thread; does not block.
   */
  get handle(): HeapHandle {
    const area = this.open();
    return { v: HANDLE_VERSION, kind: HANDLE_KIND, dsm: this.#dsm.handle, area: area.handle };
  }

  /** True once {@link close} was called; then everything else but `close` throws ERR_HEAP_CLOSED. */
  get closed(): boolean {
    return this.area === null;
  }

  /**
   * Numbers about the heap as plain data, for logs and JSON: see {@link HeapStats}.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED, ERR_HEAP_SEGMENT_UNREACHABLE (`'buffers'`, with names). Any attached thread; may block on the locks of
   *   the heap, one after the other. Takes time in proportion to superblocks and large objects, not to small objects.
   */
  stats(): HeapStats {
    return heapStats(this.open(), this.#dsm, this.#named.existing());
  }

  /**
   * What all memory of the heap is used for, one row per thing: the parts of the library's own bookkeeping, the heap, each
   * name, what is anonymous, what is free. The rows' `allocatedSize` adds up to `stats().reservedBytes` exactly; see
   * {@link AllocationRow}.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED, ERR_HEAP_SEGMENT_UNREACHABLE (`'buffers'`), ERR_HEAP_CORRUPT. Any attached thread; may block on the locks of the
   *   heap, one after the other. Takes time in proportion to names, segments and runs of free pages. Follows
   *   pg_get_shmem_allocations.
   */
  allocations(): AllocationRow[] {
    return allocations(this.#dsm, this.open(), this.#named.existing());
  }

  /**
   * The hash table of this name, made by whoever asks first; all threads of the heap share it. See {@link HeapMap}.
   *
   * @param name 1 to 127 bytes of UTF-8
   * @param options kinds of keys and values, the same for everybody who opens the map
   * @returns one object for each name; asking again gives the same
   * @throws ERR_HEAP_BAD_NAME, ERR_HEAP_BAD_OPTION (also when the map has other keys or values), ERR_HEAP_TYPE_MISMATCH (the
   *   name stands for something else), ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED. Any attached
   *   thread; may block while another thread makes the same map. Follows GetNamedDSHash.
   */
  map<const O extends MapOptions>(name: string, options: O = {} as O): HeapMap<MapKeyOf<O>, MapValueOf<O>> {
    return this.#maps.open(this.open(), () => this.#named.registry(), name, options);
  }

  /**
   * Checks every rule that the shared structures must keep. Changes nothing and never hangs, whatever it finds.
   *
   * @param options `quiescent: false` when other participants may be using the heap at the same time: then locks are
   *   taken and fewer rules are checked. Without it, changes that are under way are reported as damage.
   * @returns `ok`, the number of checks, a finding per broken rule, and what was lost by design
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_BAD_OPTION. Any attached thread; takes time in proportion to the heap; blocks on
   *   locks only with `quiescent: false`.
   */
  verify(options?: VerifyOptions): HeapReport {
    return verifyHeap(this.#dsm, this.open(), this.#named, options);
  }

  /**
   * Segments, size classes and spans as text for people, in the format of PostgreSQL's dsa_dump.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED. Any attached thread; may block on all locks of the heap, one after
   *   the other.
   */
  dump(): string {
    return this.open().dump();
  }

  /**
   * Gives unused memory back: empty superblocks that were kept for speed, and segments that become empty with them.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED. Any attached thread; may block on all locks of the heap, one after
   *   the other. Follows dsa_trim.
   */
  trim(): void {
    const area = this.open();
    area.trim();
    this.afterFree(area);
  }

  /**
   * Sets how large the heap may grow. What it has already, it keeps.
   *
   * @param bytes total size of all segments beyond which no new one is made; also text such as `'64MiB'`; `Infinity`
   *   for no limit
   * @throws ERR_HEAP_BAD_SIZE, ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED. Any attached thread; may block on the area lock.
   *   Follows dsa_set_size_limit.
   */
  setLimit(bytes: Size): void {
    const area = this.open();
    area.setSizeLimit(bytes === Number.POSITIVE_INFINITY ? bytes : parseSize(bytes, 'bytes', 'ERR_HEAP_BAD_SIZE', 0));
  }

  /**
   * The lock of this name, made if there is none: held by one exclusively or by many shared; see {@link NamedLock}.
   * Asking again gives the same object.
   *
   * @param name 1 to 127 bytes of UTF-8
   * @throws ERR_HEAP_BAD_NAME, ERR_HEAP_TYPE_MISMATCH, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CLOSED. Any
   *   attached thread; may block for another thread that makes the same lock, not for the lock itself.
   */
  lock(name: string): NamedLock {
    this.open();
    return this.#named.object('lock', name, (seam) => openLock(syncHome(seam), name));
  }

  /**
   * The condition of this name, made if there is none: threads sleep on it until others have made something true; see
   * {@link NamedCondition}. Asking again gives the same object.
   *
   * @param name as in {@link lock}
   * @throws as {@link lock}
   */
  condition(name: string): NamedCondition {
    this.open();
    return this.#named.object('condition', name, (seam) => openCondition(syncHome(seam), name));
  }

  /**
   * The barrier of this name, made if there is none: its parties wait for each other, phase by phase; see
   * {@link NamedBarrier}. Asking again gives the same object.
   *
   * @param name as in {@link lock}
   * @param parties how many there are for good, or 0 (default): they come and go by `attach` and `detach`
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_OPTION (the barrier has another number of parties), and as {@link lock}
   */
  barrier(name: string, parties = 0): NamedBarrier {
    this.open();
    checkParties(parties);
    return this.#named.object(
      'barrier',
      name,
      (seam) => openBarrier(syncHome(seam), name, parties),
      (known) => requireParties(known, parties),
    );
  }

  /**
   * The queue of this name, made if there is none: many threads may send, many receive; see {@link SharedQueue}. Its ring
   * is taken from the heap and stays for the heap's life. Asking again gives the same object.
   *
   * @param name 1 to 127 bytes of UTF-8
   * @param options `capacity` in bytes, `codec`; see {@link QueueOptions}. Who finds the queue may leave them out.
   * @throws ERR_HEAP_BAD_NAME, ERR_HEAP_BAD_OPTION (also when it is there with other options), ERR_HEAP_TYPE_MISMATCH,
   *   ERR_HEAP_OUT_OF_MEMORY (nothing is made then), ERR_HEAP_UNSUPPORTED (codec `'clone'`), ERR_HEAP_LOCK_STALLED,
   *   ERR_HEAP_CLOSED. Any attached thread; may block on locks, and for another thread that makes the same queue.
   */
  queue<T = unknown>(name: string, options?: QueueOptions<T>): SharedQueue<T> {
    this.open();
    return this.#named.object<SharedQueue<T>>(
      'queue',
      name,
      (seam) => SharedQueue.open(seam, name, options),
      (known) => known.requireSame(options),
    );
  }

  /**
   * Takes back what threads left behind, as soon as they end: their participant slots and references.
   *
   * On Linux this happens anyway at the next attach; elsewhere only the thread that owns a worker hears of its end, so
   * call this there for every worker or pool that attaches. A Worker must be watched while it runs; a piscina pool is
   * watched with all workers that it has and will have. Keeps neither worker nor process alive; ends by itself with
   * {@link close}.
   *
   * @param target a Worker of `node:worker_threads`, or a piscina pool
   * @returns a function that stops watching
   * @throws ERR_HEAP_UNSUPPORTED (Web Worker), ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CLOSED. The thread that owns the
   *   workers; does not block.
   */
  watch(target: Watchable): () => void {
    this.open();
    const stop = watchThreads(target, (threadId) => this.#threadEnded(threadId));
    const stopOnce = () => {
      this.#stops.delete(stopOnce);
      stop();
    };
    this.#stops.add(stopOnce);
    return stopOnce;
  }

  #threadEnded(threadId: number): void {
    try {
      this.#dsm.markDead(threadId);
    } catch {
      // The mark is set in any case; what could not be taken back now is taken back at the next attach.
    }
  }

  /**
   * Ends this attachment. The last one to close releases the heap and everything in it.
   *
   * Views that this object gave out are void from now on. Calling it again does nothing, unless an error came out: then
   * it goes on where it could not.
   *
   * @throws ERR_HEAP_LOCK_HELD while this object holds locks of the heap; nothing has changed then
   * @throws ERR_HEAP_LOCK_STALLED when not everything could be given back. This object is closed all the same, and
   *   calling it again tries again. Any attached thread; may block on the area lock. Follows dsa_detach.
   */
  close(): void {
    if (this.#dsm.participant.closed) return;
    this.#dsm.requireNoLocks();
    for (const stop of this.#stops) stop();
    this.#ending ??= this.area;
    this.forget();
    let failed: { readonly error: unknown } | null = null;
    for (const step of [() => this.#named.close(), () => this.#ending?.detach(), () => this.#dsm.leave()]) {
      try {
        step();
      } catch (error) {
        failed ??= { error };
      }
    }
    if (this.#dsm.participant.closed) this.#ending = null;
    if (failed !== null) throw failed.error;
  }

  /** {@link close}, for `using heap = SharedHeap.attach(handle)`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
