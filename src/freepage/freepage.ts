/** Runs of free pages in one piece of memory: PostgreSQL's FreePageManager. Entry of the folder; see its parts. */

export { FreePageManager } from './manager.js';
export { freePages, type FreePages, type FreePagesOptions } from './checked.js';
export { isLostRoot } from './lost-root.js';
export { FPM_NUM_FREELISTS, FPM_PAGE_SIZE } from './structs.js';
export type { FreePageFinding } from './verify-census.js';
export { verifyFreePages, type FreePageExpectation } from './verify.js';
export type { FreeRun } from './walk.js';
