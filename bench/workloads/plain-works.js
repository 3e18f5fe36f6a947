/** Works of a thread that never hands anything to the other: pairs, random replacement, arithmetic. */

import { next, SEED } from '../random.js';

const BLOCK = 256;
/** Live objects of each thread in the mixed work. */
export const MIXED_LIVE = 5000;

/** @param {import('./crew-thread.js').Thread} thread @returns {Record<string, () => import('./crew-thread.js').Work>} */
export function makePlainWorks({ loops }) {
  const pairs = (/** @type {number} */ size) => () => ({
    block() {
      loops.pairs(size, BLOCK);
      return BLOCK;
    },
  });
  return {
    pair64: pairs(64),
    pair1024: pairs(1024),
    mixed: () => ({
      prepare: () => loops.fill(MIXED_LIVE, 8, 1024),
      block() {
        loops.replace(BLOCK);
        return BLOCK;
      },
      finish: () => loops.empty(),
    }),
    touched: () => ({
      prepare() {
        loops.fill(MIXED_LIVE, 8, 1024);
        loops.touch();
      },
      block() {
        loops.replaceTouched(BLOCK);
        return BLOCK;
      },
      finish: () => loops.empty(),
    }),
    arithmetic() {
      let arithmetic = SEED;
      return {
        block() {
          let x = arithmetic;
          for (let i = 0; i < BLOCK; i++) x = next(x);
          arithmetic = x;
          return BLOCK;
        },
      };
    },
  };
}
