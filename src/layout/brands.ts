/**
 * Numbers that must not be mixed: each kind of index into shared memory is a type of its own, so that a page
 * number does not compile where a pointer is wanted. Brands exist in types only and cost nothing at run time.
 */

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** `dsa_pointer`: segment index * 2^40 + byte offset; 0 is invalid; always below 2^50. */
export type DsaPointer = Branded<'dsa_pointer'>;
/** Number of a 4096-byte page, counted from the base of a segment; below 2^28. */
export type PageNumber = Branded<'page'>;
/** `dsm_handle`: names a segment across participants; 1 .. 2^32 - 1, 0 is invalid. */
export type DsmHandle = Branded<'dsm_handle'>;
/** Index of a slot in the participant table. */
export type SlotNumber = Branded<'slot'>;
