/** How much is done for a figure. */

/** Milliseconds: a call, warming up, measuring; and the fewest calls. A quick run says that it works, not how fast. */
export const EFFORTS = {
  full: { call: 5, warmUp: 200, time: 400, calls: 5 },
  quick: { call: 1, warmUp: 60, time: 30, calls: 2 },
};

/** @typedef {typeof EFFORTS.full} Effort */
