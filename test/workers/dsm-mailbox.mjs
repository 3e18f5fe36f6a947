/**
 * A thread's answers to main, in shared memory, so that main may be blocked while it waits for them. One mailbox a
 * worker: a counter of answers, the length of the last one, and its JSON text.
 */

/** Words of a mailbox. */
export const BOX = { answers: 0, length: 1, stop: 2, text: 4 };
const BYTES = 16 * 1024;

/** @returns {Int32Array} */
export function newMailbox() {
  return new Int32Array(new SharedArrayBuffer(BYTES));
}

/**
 * @param {Int32Array} box
 * @param {unknown} value
 */
export function answer(box, value) {
  const bytes = Buffer.from(JSON.stringify(value ?? null));
  new Uint8Array(box.buffer, BOX.text * 4).set(bytes);
  box[BOX.length] = bytes.length;
  Atomics.add(box, BOX.answers, 1);
  Atomics.notify(box, BOX.answers);
}

/** Value of the last answer. */
export function lastAnswer(box) {
  return JSON.parse(Buffer.from(new Uint8Array(box.buffer, BOX.text * 4, box[BOX.length])).toString());
}

/** Blocks until there are more than `seen` answers, and returns the last one. */
export function waitForAnswer(box, seen) {
  while (Atomics.load(box, BOX.answers) === seen) {
    if (Atomics.wait(box, BOX.answers, seen, 30_000) === 'timed-out') throw new Error('no answer came');
  }
  return lastAnswer(box);
}
