/** The child of steady.js: SUBJECT LOOP WARM-UP TIME, the last two in milliseconds. */

import { pathToFileURL } from 'node:url';
import { Loops } from '../loops.js';
import { subjectNamed } from '../subjects/subjects.js';

/** The function whose deoptimisation marks the end of the warm-up. */
export const MARK = 'warmUpEnds';
const CALL = 4096;

/** Deoptimises a function of that name. The engine's own syntax has to hide from everyone who parses this file. */
function leaveMark() {
  const marked = new Function(`
    function ${MARK}(x) { return x + 1; }
    %PrepareFunctionForOptimization(${MARK});
    ${MARK}(1);
    %OptimizeFunctionOnNextCall(${MARK});
    ${MARK}(1);
    return ${MARK};
  `)();
  marked('not a number');
}

/** @type {Record<string, (loops: Loops) => () => void>} */
const LOOPS = {
  pair: (loops) => () => loops.pairs(64, CALL),
  replace(loops) {
    loops.fill(10_000, 8, 1024);
    return () => loops.replace(CALL);
  },
  fifo(loops) {
    loops.fillFifo();
    return () => loops.fifo(CALL);
  },
};

function main() {
  const [id = '', loop = '', warmUp, time] = process.argv.slice(2);
  const loops = new Loops(subjectNamed(id).open());
  const run = /** @type {(loops: Loops) => () => void} */ (LOOPS[loop])(loops);
  const work = (/** @type {number} */ milliseconds) => {
    for (const end = performance.now() + milliseconds; performance.now() < end; ) run();
  };
  work(Number(warmUp));
  leaveMark();
  work(Number(time));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
