/** What the exchange tests and their workers agree on: places in one small shared memory, and how an exchange is set up. */

/** Word indexes. `live + handle` is 1 while the segment of that handle exists. */
export const AT = { attention: 0, ready: 1, done: 2, result: 3, stop: 4, park: 5, live: 64 };

/** Options of an exchange over `memory`. */
export function exchangeOptions(name, memory, known = [], attachTimeout = 5000) {
  const words = new Int32Array(memory);
  return {
    name,
    attention: words,
    attentionIndex: AT.attention,
    known,
    attachTimeout,
    wakeAll: () => Atomics.notify(words, AT.park),
    isLive: (handle) => Atomics.load(words, AT.live + handle) === 1,
  };
}
