/** A progress bar on stderr. It shows on a terminal only, so that logs and pipes stay clean. */

const WIDTH = 30;
const MILLISECONDS_BETWEEN_DRAWINGS = 50;

/**
 * Starts a bar.
 * @param {string} label
 * @param {number} total steps until it is full
 * @returns {{ step(): void, end(): void }}
 */
export function progressBar(label, total) {
  if (!process.stderr.isTTY) return { step() {}, end() {} };
  let done = 0;
  let drawn = 0;
  return {
    step() {
      done++;
      if (Date.now() - drawn < MILLISECONDS_BETWEEN_DRAWINGS) return;
      drawn = Date.now();
      const filled = Math.round((WIDTH * done) / total);
      process.stderr.write(`\r\x1b[K${label} [${'#'.repeat(filled).padEnd(WIDTH)}] ${done}/${total}`);
    },
    end() {
      process.stderr.write('\r\x1b[K');
    },
  };
}
