/**
 * What one SharedHeap object knows by name: locks, conditions, barriers, queues, maps.
 *
 * Stands on the registry, which it opens at the first name; a heap that uses none stays as it is. Each named thing has one
 * object per heap object: asking again gives the same. Private to its thread, no lock of its own.
 *
 * A kind of thing is added with one method of SharedHeap, which asks here:
 *
 *     lock(name: string): NamedLock {
 *       this.open();
 *       return this.#named.object('lock', name, (seam) => new NamedLock(seam, name));
 *     }
 *
 * where the constructor asks `seam.registry.block(name, 'lock', size, init)` for its shared part.
 */

import type { DsaArea } from '../dsa/dsa.js';
import type { Dsm } from '../dsm/dsm.js';
import { type NamedKind, Registry, requireName } from '../registry/registry.js';

/** What a named thing is made of. */
export interface NamedSeam {
  /** Gives it its block. */
  readonly registry: Registry;
  /** The heap's own area: contents of queues and maps lie where `alloc` takes memory. */
  readonly area: DsaArea;
  /** The participant: for locks, waits and tranches. */
  readonly dsm: Dsm;
}

/** An object for a named thing. */
export interface NamedObject {
  /** Called once when the heap object is closed, before it detaches; must not throw. Ends waits, gives up views. */
  heapClosed?(): void;
}

/** The named things of one SharedHeap object. */
export class NamedObjects {
  readonly #dsm: Dsm;
  readonly #area: DsaArea;
  readonly #objects = new Map<string, NamedObject>();
  #registry: Registry | null = null;

  constructor(dsm: Dsm, area: DsaArea) {
    this.#dsm = dsm;
    this.#area = area;
  }

  /** The registry, made when the heap has none yet. May block while another thread makes it. */
  registry(): Registry {
    this.#registry ??= Registry.open(this.#dsm);
    return this.#registry;
  }

  /** The registry if the heap has one, else null: for reports, which change nothing. */
  existing(): Registry | null {
    this.#registry ??= Registry.openExisting(this.#dsm);
    return this.#registry;
  }

  /**
   * The object for a named thing: the one there is, or a new one.
   *
   * @param kind what the thing is
   * @param name 1 to 127 bytes of UTF-8
   * @param make makes the object when there is none yet; it is kept unless that throws
   * @param agree is handed the object there is, to throw when it was asked for with other options
   * @throws ERR_HEAP_BAD_NAME, what opening the registry throws, what `make` and `agree` throw
   */
  object<T extends NamedObject>(
    kind: NamedKind,
    name: string,
    make: (seam: NamedSeam) => T,
    agree?: (known: T) => void,
  ): T {
    requireName(name);
    const key = `${kind} ${name}`;
    // Only objects of this kind are kept under this key.
    const known = this.#objects.get(key) as T | undefined;
    if (known !== undefined) {
      agree?.(known);
      return known;
    }
    const object = make({ registry: this.registry(), area: this.#area, dsm: this.#dsm });
    this.#objects.set(key, object);
    return object;
  }

  /** Ends all objects and the attachment to the registry. @throws ERR_HEAP_LOCK_STALLED */
  close(): void {
    for (const object of this.#objects.values()) object.heapClosed?.();
    this.#objects.clear();
    this.#registry?.close();
    this.#registry = null;
  }
}
