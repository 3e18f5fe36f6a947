/**
 * What a check has found: numbered invariants that do not hold, as plain data.
 *
 * Private to the thread that checks; no lock. Shared by the checks of dsm and dsa.
 */

/** `error`: the structure is damaged. `note`: unusual but allowed, worth a look. */
export type Severity = 'error' | 'note';

/** One thing that a check has found. */
export interface Finding {
  /** Number of the invariant: M of dsm, K of the area, Q of a page manager. */
  readonly id: string;
  readonly severity: Severity;
  /** What is wrong, with the numbers. */
  readonly message: string;
}

/** Findings listed for one id. Lower: less of a pattern is seen. Higher: a heap full of garbage makes endless reports. */
const MAX_PER_ID = 10;

/** Collects findings and counts checks. @internal */
export class Findings {
  /** Single checks made so far; grows with the work done. */
  checks = 0;
  /** Errors so far, also those beyond what is listed. */
  errors = 0;
  /** Findings that were left out of {@link list} because there are enough of their id. */
  unlisted = 0;
  readonly list: Finding[] = [];
  readonly #perId = new Map<string, number>();

  /** Counts a check and notes it when it failed. Returns `ok`. */
  check(id: string, ok: boolean, message: () => string): boolean {
    this.checks++;
    if (!ok) this.add(id, 'error', message());
    return ok;
  }

  /** Notes a violated invariant. */
  error(id: string, message: string): void {
    this.add(id, 'error', message);
  }

  /** Notes something unusual. */
  note(id: string, message: string): void {
    this.add(id, 'note', message);
  }

  /** Takes over the result of another check. */
  merge(report: { readonly checks: number; readonly unlisted: number; readonly findings: readonly Finding[] }): void {
    this.checks += report.checks;
    this.unlisted += report.unlisted;
    for (const { id, severity, message } of report.findings) this.add(id, severity, message);
  }

  private add(id: string, severity: Severity, message: string): void {
    if (severity === 'error') this.errors++;
    const key = `${id}/${severity}`;
    const known = this.#perId.get(key) ?? 0;
    this.#perId.set(key, known + 1);
    if (known < MAX_PER_ID) this.list.push({ id, severity, message });
    else this.unlisted++;
  }
}
