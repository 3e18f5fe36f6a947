/** Reports on where memory is. Entry of the folder; see its parts. */

export { type AllocationKind, type AllocationRow, allocations } from './allocations.js';
