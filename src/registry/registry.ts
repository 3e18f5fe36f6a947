/** What a cluster knows by name (PostgreSQL's DSM registry). Entry of the folder; see its parts. */

export { type NamedKind, RegistryEntry, type RegistryKind } from './layout.js';
export { MAX_NAME_BYTES, requireName } from './names.js';
export { Registry, type RegistryAllocation } from './named-registry.js';
export type { RegistryRow } from './obtain.js';
export type { NamedBlock } from './recipes.js';
export type { RegistryReport } from './verify.js';
