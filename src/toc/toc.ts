/** Tables of contents (PostgreSQL, storage/ipc/shm_toc.c). Entry of the folder; see its parts. */

export { Toc, TOC_ALIGNMENT } from './table.js';
export { TocEstimator } from './estimator.js';
export type { TocKey } from './key.js';
