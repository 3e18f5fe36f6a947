/**
 * Prints every struct in shared memory as a Markdown table: offset, size, type, name and guard of each field.
 */

import '../dist/core.js'; // Structs register when their module loads.
import { allStructs } from '../dist/layout/layout.js';

/** @param {unknown[]} cells */
const row = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;

for (const { name, size, source, rows } of allStructs()) {
  console.log(`## ${name}\n\n${size} bytes; ${source}\n`);
  console.log(row(['offset', 'size', 'type', 'field', 'guard']));
  console.log('| ---: | ---: | --- | --- | --- |');
  for (const field of rows) console.log(row([field.offset, field.size, field.type, field.name, field.guard]));
  console.log();
}
