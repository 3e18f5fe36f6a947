/** The figures as text. */

const count = (number) => number.toLocaleString('en');
const megabytes = (bytes) => (bytes === null ? '' : `${(bytes / 1e6).toFixed(1)} MB`);
const seconds = (number) => `${number.toFixed(2)} s`;

/** Rows of cells as a table: the first and the last column hold text, those between hold numbers. */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const align = (cell, column) => {
    const isText = column === 0 || column === widths.length - 1;
    return isText ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  };
  return rows.map((row) => `  ${row.map(align).join('   ')}`.trimEnd()).join('\n');
}

function hits({ hits }) {
  return hits.map(
    ({ path, line, score, snippet }) => `  ${score.toFixed(2).padStart(6)}  ${path}:${line}\n          ${snippet}`,
  );
}

/**
 * Everything but the verdict of `--verify`.
 * @param {import('./main.js').Report} report
 */
export function textReport({ path, query, workers, files, indexing, early, answer, again, heap, clone }) {
  const { bytes, objects } = clone;
  return [
    `${path}: ${count(files.indexed)} files, ${megabytes(files.bytes)} indexed by ${workers} workers in ${seconds(indexing.seconds)}`,
    `  left out: ${count(files.binary)} binary or unreadable, ${count(files.tooLarge)} larger than ${megabytes(files.largest)}, hidden folders`,
    `  meanwhile asked ${early.questions} times, with ${count(early.files[0] ?? 0)} to ${count(early.files.at(-1) ?? 0)} files: ${early.milliseconds.toFixed(1)} ms an answer`,
    '',
    `"${query}": ${count(answer.files)} files, ${count(answer.occurrences)} occurrences, in ${answer.milliseconds.toFixed(1)} ms`,
    ...hits(answer),
    '',
    `the indexes of ${count(again.files)} files freed and made again in ${seconds(again.seconds)}: ${again.sameAnswer ? 'same' : 'ANOTHER'} answer`,
    '',
    `the heap (store ${heap.store}): ${count(heap.segments)} segments`,
    table([
      ['live', megabytes(heap.liveBytes), 'in objects, rounded up to their size class'],
      ['in segments', megabytes(heap.segmentBytes), 'what the heap took from its store'],
      ['reserved', megabytes(heap.reservedBytes), 'address space; costs nothing until it is touched'],
      ['resident', megabytes(indexing.residentBytes), 'the whole process after indexing'],
    ]),
    '',
    'the same job, each in a process of its own:',
    table([
      ['results', 'seconds', 'resident', 'readable by'],
      [
        'in the shared heap, words in one table',
        seconds(indexing.seconds),
        megabytes(indexing.residentBytes),
        'every thread',
      ],
      ['structured clone, same bytes', seconds(bytes.seconds), megabytes(bytes.residentBytes), 'the main thread'],
      [
        'structured clone, Maps and arrays',
        seconds(objects.seconds),
        megabytes(objects.residentBytes),
        'the main thread',
      ],
    ]),
  ].join('\n');
}
