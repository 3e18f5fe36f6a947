/** Struct layouts, branded numbers, 64-bit words and relative pointers. Entry of the folder; see its parts. */

export type * from './brands.js';
export * from './place.js';
export * from './relptr.js';
export * from './struct.js';
export * from './words.js';
