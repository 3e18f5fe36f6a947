/**
 * What the page manager keeps in shared memory, declared once: its header, the leader of a run of free pages and the
 * pages of the B-tree.
 *
 *     page:  0        1                     9    10
 *            +--------+---------------------+----+------------------+
 *            | header | leader, free pages  | in | B-tree page      |   a run's leader lies in its first page,
 *            | 1096 B | (32 bytes used)     | use| (a free page too)|   the B-tree in pages that are free as well
 *            +--------+---------------------+----+------------------+
 *
 * One lock of the owner guards all of it (the area lock in dsa, the control lock in dsm): whoever holds it exclusively
 * reads and writes every field here with plain accesses, and nobody else touches any. "The lock" below means that one.
 *
 * Byte for byte PostgreSQL's freepage.c, so that the same calls give the same pages. Our one addition lies in four
 * bytes of padding: `list_groups`.
 */

import { array, bool, i32, nested, relptr, size, struct, u32 } from '../layout/layout.js';

/**
 * Bytes of a page. If this were smaller, small segments would waste less, but the page maps of dsa would grow; if it
 * were larger, the reverse. PostgreSQL's value; every placement depends on it.
 */
export const FPM_PAGE_SIZE = 4096;

/** Words of a page. */
export const PAGE_WORDS = FPM_PAGE_SIZE / 4;

/**
 * Free lists: one for each run length below 129 pages, one for all longer runs. If this were lower, more requests
 * would search the last list, which is linear; if it were higher, the header would grow. PostgreSQL's value.
 */
export const FPM_NUM_FREELISTS = 129;

/** List of all runs that are longer than 128 pages: the last. */
export const LONG_LIST = FPM_NUM_FREELISTS - 1;

/**
 * Items of a B-tree page: as many as fit. If this were lower, the tree would be deeper; higher is not possible.
 * PostgreSQL's value: it decides when a page is split, and so which pages are taken.
 */
export const ITEMS_PER_PAGE = 254;

/**
 * A page with fewer items tries to merge with a sibling. If this were lower, pages would stay sparse for longer; if it
 * were higher, a merged page would soon be split again. PostgreSQL's value (a third of the items).
 */
export const CONSOLIDATE_BELOW = 84;

/**
 * Levels of the B-tree that are believed. A real tree of 2^28 pages has five. If this were lower than a real depth, a
 * sound tree would be called corrupt; if it were much higher, a cycle of damaged links would be noticed later.
 */
export const MAX_DEPTH = 32;

/** First word of every leader, as an int32. */
export const LEADER_MAGIC = 0xea4020f0 | 0;
/** First word of every leaf of the B-tree, as an int32. */
export const LEAF_MAGIC = 0x98eae728 | 0;
/** First word of every other page of the B-tree, as an int32. */
export const INTERNAL_MAGIC = 0x19aa32c9;

const LOCK = 'read and written under the lock';

/** The header of a manager. */
export const FREE_PAGE_MANAGER = struct(
  'FreePageManager',
  'utils/freepage.h',
  {
    self: relptr('written at initialisation, then frozen; leads to this header'),
    btree_root: relptr(LOCK),
    btree_recycle: relptr(`${LOCK}; head of the list of free pages kept back for the tree`),
    btree_depth: u32(LOCK),
    btree_recycle_count: u32(LOCK),
    singleton_first_page: size(`${LOCK}; meaningless while singleton_npages is 0`),
    singleton_npages: size(`${LOCK}; the only run, while there is no tree`),
    contiguous_pages: size(`${LOCK}; right while contiguous_pages_dirty is false`),
    contiguous_pages_dirty: bool(LOCK),
    list_groups: u32(`${LOCK}; ours: bit g is set exactly while one of the lists 4g .. 4g + 3 has a run`),
    freelist: array(FPM_NUM_FREELISTS, relptr(LOCK)),
  },
  1096,
);

/** First bytes of the first page of a free run, and of each page on the recycle list. */
const SPAN_LEADER = struct(
  'FreePageSpanLeader',
  'utils/mmgr/freepage.c',
  {
    magic: i32(LOCK),
    npages: size(LOCK),
    prev: relptr(LOCK),
    next: relptr(LOCK),
  },
  32,
);

/** First bytes of a page of the B-tree. */
const BTREE_HEADER = struct(
  'FreePageBtreeHeader',
  'utils/mmgr/freepage.c',
  {
    magic: i32(`${LOCK}; tells leaf from internal`),
    nused: size(LOCK),
    parent: relptr(`${LOCK}; null in the root`),
  },
  24,
);

/** Item of a leaf: one free run. */
const BTREE_LEAF_KEY = struct(
  'FreePageBtreeLeafKey',
  'utils/mmgr/freepage.c',
  {
    first_page: size(LOCK),
    npages: size(LOCK),
  },
  16,
);

/** Item of an internal page: a child, and the lowest first page below it. */
const BTREE_INTERNAL_KEY = struct(
  'FreePageBtreeInternalKey',
  'utils/mmgr/freepage.c',
  {
    first_page: size(LOCK),
    child: relptr(LOCK),
  },
  16,
);

/** A page of the B-tree; eight bytes at its end stay unused. The items of an internal page lie in the same place. */
const BTREE_PAGE = struct(
  'FreePageBtree',
  'utils/mmgr/freepage.c',
  {
    hdr: nested(BTREE_HEADER, 8, LOCK),
    keys: array(ITEMS_PER_PAGE, nested(BTREE_LEAF_KEY, 8, LOCK)),
  },
  4088,
);

/* Word offsets of the same fields, which is what hot code adds to the word index of a header or of a page. Only the
 * low word of a 64-bit count is looked at: no segment has 2^32 pages. */

/** Word of `btree_root` in a header. */
export const H_ROOT = FREE_PAGE_MANAGER.btree_root / 4;
/** Word of `btree_recycle` in a header. */
export const H_RECYCLE = FREE_PAGE_MANAGER.btree_recycle / 4;
/** Word of `btree_depth` in a header. */
export const H_DEPTH = FREE_PAGE_MANAGER.btree_depth / 4;
/** Word of `btree_recycle_count` in a header. */
export const H_RECYCLE_COUNT = FREE_PAGE_MANAGER.btree_recycle_count / 4;
/** Word of `singleton_first_page` in a header. */
export const H_SINGLETON_FIRST = FREE_PAGE_MANAGER.singleton_first_page / 4;
/** Word of `singleton_npages` in a header. */
export const H_SINGLETON_NPAGES = FREE_PAGE_MANAGER.singleton_npages / 4;
/** Word of `contiguous_pages` in a header. */
export const H_CONTIGUOUS = FREE_PAGE_MANAGER.contiguous_pages / 4;
/** Word of `contiguous_pages_dirty` in a header; the other three bytes of it are unused. */
export const H_DIRTY = FREE_PAGE_MANAGER.contiguous_pages_dirty / 4;
/** Word of `list_groups` in a header. */
export const H_GROUPS = FREE_PAGE_MANAGER.list_groups / 4;
/** Word of `freelist[0]` in a header; each list takes two. */
export const H_FREELIST = FREE_PAGE_MANAGER.freelist / 4;

/** Word of `npages` in a leader. */
export const L_NPAGES = SPAN_LEADER.npages / 4;
/** Word of `prev` in a leader. */
export const L_PREV = SPAN_LEADER.prev / 4;
/** Word of `next` in a leader. */
export const L_NEXT = SPAN_LEADER.next / 4;

/** Word of `nused` in a B-tree page. */
export const B_NUSED = BTREE_HEADER.nused / 4;
/** Word of `parent` in a B-tree page. */
export const B_PARENT = BTREE_HEADER.parent / 4;
/** Word of item 0 in a B-tree page: its `first_page`. */
export const B_KEY = BTREE_PAGE.keys / 4;
/** Word of `npages` of item 0 in a leaf. */
export const B_VALUE = B_KEY + BTREE_LEAF_KEY.npages / 4;
/** Word of `child` of item 0 in an internal page. */
export const B_CHILD = B_KEY + BTREE_INTERNAL_KEY.child / 4;
