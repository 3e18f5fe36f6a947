/** Where things lie on the board of the churning threads, in words; see dsm-churn.mjs. */
export const BOARD = {
  /** Threads rest at every hundredth step while this is 0. */
  gate: 0,
  /** Next place in the ring. */
  next: 1,
  /** Steps done by all. */
  steps: 2,
  /** One word for each thread: a state. */
  states: 8,
  ring: 64,
  mask: 63,
  words: 128,
  BUSY: 0,
  IDLE: 1,
  DONE: 2,
  /** It threw. Written by the main thread. */
  FAILED: 3,
};
