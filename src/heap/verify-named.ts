/**
 * Checks what the names of a heap stand for: the contents of maps and queues, whoever has opened them.
 *
 * Stands on the registry's rows and on the checks of each kind. Attaches for the time of the check and changes nothing.
 * Locks, conditions and barriers are a few words each, of which every state is one that can be.
 */

import type { DsaArea } from '../dsa/dsa.js';
import type { Dsm, Finding } from '../dsm/dsm.js';
import type { Registry, RegistryRow } from '../registry/registry.js';
import { attachMapToCheck } from './map-open.js';
import { verifyMap } from './map-verify.js';
import { attachQueueToCheck } from './queue-open.js';
import { show } from './sizes.js';

/** Checks made, and what they found. */
export interface NamedReport {
  readonly checks: number;
  readonly findings: readonly Finding[];
}

/**
 * Checks all maps and queues that have a name.
 *
 * @param quiescent false while other threads use the heap: maps are then locked, a partition at a time, and queues left out
 */
export function verifyNamed(dsm: Dsm, area: DsaArea, registry: Registry, quiescent: boolean): NamedReport {
  const findings: Finding[] = [];
  let checks = 0;
  for (const row of registry.rows()) {
    if (!row.ready) continue;
    const about = `${row.kind} ${show(row.name)}`;
    try {
      const report = verifyOne(dsm, area, registry, row, quiescent);
      checks += report.checks;
      for (const finding of report.findings) findings.push({ ...finding, message: `${about}: ${finding.message}` });
    } catch (error) {
      findings.push({ id: 'N0', severity: 'error', message: `${about} cannot be checked: ${String(error)}` });
    }
  }
  return { checks, findings };
}

function verifyOne(dsm: Dsm, area: DsaArea, registry: Registry, row: RegistryRow, quiescent: boolean): NamedReport {
  const { name, kind, size } = row;
  if (kind === 'map') {
    const block = registry.block(name, kind, size, nothing);
    return verifyMap(attachMapToCheck(area, block, name), { quiescent });
  }
  if (kind === 'queue' && quiescent) {
    const ring = attachQueueToCheck({ dsm, area, registry }, name, registry.block(name, kind, size, nothing));
    const problems = ring.verify();
    return { checks: 1, findings: problems.map((message) => ({ id: 'U1', severity: 'error', message })) };
  }
  return { checks: 0, findings: [] };
}

/** The name is there, so nothing is made. */
function nothing(): void {}
