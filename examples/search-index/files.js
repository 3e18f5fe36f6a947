/**
 * Which files are searched: every file under a path, but for hidden folders, links, and files so large that they
 * are data rather than text. Whether a file is binary is for the worker to say, who reads it anyway.
 */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Larger files are left out. The index format could hold them: this bounds the scratch memory of a worker. */
export const LARGEST_FILE = 16_000_000;

/** @typedef {{ files: string[], tooLarge: number }} Listing */

/**
 * Lists the files under a path.
 * @param {string} path a folder or a file
 * @returns {Listing} paths, sorted within each folder; how many were left out
 */
export function listFiles(path) {
  /** @type {Listing} */
  const listing = { files: [], tooLarge: 0 };
  const stat = statSync(path);
  if (stat.isDirectory()) addFolder(path, listing);
  else if (stat.isFile()) addFile(path, listing);
  return listing;
}

/**
 * @param {string} folder
 * @param {Listing} listing
 */
function addFolder(folder, listing) {
  const entries = readdirSync(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !entry.name.startsWith('.')) addFolder(path, listing);
    else if (entry.isFile()) addFile(path, listing);
  }
}

/**
 * @param {string} path
 * @param {Listing} listing
 */
function addFile(path, listing) {
  if (statSync(path).size <= LARGEST_FILE) listing.files.push(path);
  else listing.tooLarge++;
}
