/**
 * Removes the built files whose source is gone, so that nothing stale is tested or published.
 *
 * Only those: a test run that goes on at the same time keeps the files it stands on.
 */

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const BUILT = /\.(js|d\.ts)(\.map)?$/;

/**
 * @param {string} built folder of dist
 * @param {string} source the folder of src that it was built from
 */
function clean(built, source) {
  for (const item of readdirSync(built, { withFileTypes: true })) {
    const path = join(built, item.name);
    const origin = join(source, item.isDirectory() ? item.name : item.name.replace(BUILT, '.ts'));
    if (!existsSync(origin)) rmSync(path, { recursive: true });
    else if (item.isDirectory()) clean(path, origin);
  }
}

if (existsSync(join(root, 'dist'))) clean(join(root, 'dist'), join(root, 'src'));
