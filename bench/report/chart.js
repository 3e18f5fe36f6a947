/**
 * The main results as a chart: a panel for each workload with a bar for each subject, shorter is better. Every panel has
 * its own linear axis from 0. It ends at four times what we take; a longer bar is cut off there, and its figure says so.
 */

/** @typedef {import('../summary.js').Row} Row */
/** @typedef {import('./report.js').Results} Results */

const PANELS = [
  { workload: 'pair-64', title: 'allocate and free 64 bytes' },
  { workload: 'replace-touched', title: 'replace a random one of 10,000 objects' },
  { workload: 'fifo', title: 'replace the oldest of 1,024 objects' },
  { workload: 'threads-mixed', title: 'replace, two threads on one heap' },
  { workload: 'xmalloc', title: 'one thread allocates, another frees' },
  { workload: 'larson', title: 'larson, two threads' },
  { workload: 'mstress', title: 'mstress, two threads' },
  { workload: 'memory-replaced', title: 'resident memory after replacements' },
];

const UNITS = /** @type {Record<string, string>} */ ({ ns: 'ns', 'bytes per byte': 'bytes for each live byte' });

const COLUMNS = 2;
const WIDTH = 960;
const MARGIN = 24;
const HEAD = 64;
const GAP = 40;
const NAMES = 150;
/** For the figure behind a bar. */
const FIGURES = 62;
const BAR = 14;
const STEP = 19;
const TITLE = 26;
const AXIS = 34;
const CUT = 4;

const STYLE = `
    svg { color-scheme: light dark; font-family: system-ui, sans-serif; font-size: 12px; }
    .paper { fill: #ffffff; } text { fill: #1f2328; } .dim { fill: #59636e; }
    .title { font-size: 18px; font-weight: 600; } .panel { font-weight: 600; font-size: 13px; }
    .ours { fill: #0969da; } .peer { fill: #afb8c1; } .grid { stroke: #d1d9e0; } .cut { fill: #ffffff; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117; } text { fill: #f0f6fc; } .dim { fill: #9198a1; }
      .ours { fill: #4493f8; } .peer { fill: #656c76; } .grid { stroke: #3d444d; } .cut { fill: #0d1117; }
    }`;

/** @param {string} text */
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** @param {number} value */
function figure(value) {
  return value >= 1000 ? `${Number((value / 1000).toPrecision(2))}k` : `${Number(value.toPrecision(3))}`;
}

/**
 * Two to five round steps up to the end of an axis.
 * @param {number} end
 */
function ticks(end) {
  const decade = 10 ** Math.floor(Math.log10(end));
  const step = [0.2, 0.5, 1, 2].map((part) => part * decade).find((size) => end / size <= 5) ?? decade;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step);
}

/**
 * @param {Row} row
 * @param {number} end of the axis
 * @param {number} scale pixels for one unit
 * @param {number} y
 */
function bar(row, end, scale, y) {
  const cut = row.median > end;
  const length = Math.max(Math.min(row.median, end) * scale, 1);
  const tear = cut ? `<path class="cut" d="M${NAMES + length - 12} ${y + BAR} l6 -${BAR} h4 l-6 ${BAR} z"/>` : '';
  const rect = `<rect class="${row.peer ? 'peer' : 'ours'}" x="${NAMES}" y="${y}" width="${length.toFixed(1)}" height="${BAR}"/>`;
  return `
    <text x="${NAMES - 6}" y="${y + 11}" text-anchor="end">${escape(row.subject)}</text>
    ${rect}${tear}
    <text x="${(NAMES + length + 5).toFixed(1)}" y="${y + 11}">${figure(row.median)}${cut ? ' →' : ''}</text>`;
}

/**
 * @param {typeof PANELS[number]} about
 * @param {readonly Row[]} rows of its workload
 * @param {number} width
 */
function panel({ title }, rows, width) {
  const ours = rows.find(({ peer }) => !peer)?.median ?? 0;
  const most = Math.max(...rows.map(({ median }) => median));
  const end = ours > 0 ? Math.min(CUT * ours, most) : most;
  const scale = (width - NAMES - FIGURES) / end;
  const bottom = TITLE + rows.length * STEP;
  const grid = ticks(end).map((value) => {
    const x = (NAMES + value * scale).toFixed(1);
    return `
    <line class="grid" x1="${x}" x2="${x}" y1="${TITLE - 4}" y2="${bottom}"/>
    <text class="dim" x="${x}" y="${bottom + 13}" text-anchor="middle">${figure(value)}</text>`;
  });
  const unit = UNITS[rows[0]?.unit ?? 'ns'] ?? '';
  return `
    <text class="panel" x="${NAMES}" y="14">${escape(title)}</text>${grid.join('')}
    <text class="dim" x="${width - FIGURES + 14}" y="${bottom + 13}">${unit.length > 2 ? '' : unit}</text>
    ${unit.length > 2 ? `<text class="dim" x="${NAMES}" y="${bottom + 28}">${unit}</text>` : ''}
    ${rows.map((row, i) => bar(row, end, scale, TITLE + i * STEP)).join('')}`;
}

/** @param {Results} results */
export function chart({ machine, rows }) {
  const panels = PANELS.flatMap((about) => {
    const members = rows.filter(
      ({ workload, subject }) => workload === about.workload && subject !== 'the queue alone',
    );
    return members.length === 0 ? [] : [{ about, members: members.sort((a, b) => a.median - b.median) }];
  });
  const width = (WIDTH - 2 * MARGIN - GAP) / COLUMNS;
  let y = HEAD;
  const drawn = [];
  for (let i = 0; i < panels.length; i += COLUMNS) {
    const line = panels.slice(i, i + COLUMNS);
    for (const [column, { about, members }] of line.entries()) {
      const x = MARGIN + column * (width + GAP);
      drawn.push(`  <g transform="translate(${x} ${y})">${panel(about, members, width)}\n  </g>`);
    }
    y += TITLE + Math.max(...line.map(({ members }) => members.length)) * STEP + AXIS;
  }
  const height = y + MARGIN / 2;
  const about = `${machine.cpu}, ${machine.cores} processors, Node ${machine.node}, ${machine.date.slice(0, 10)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Time and memory of sharedheap and of other allocators">
  <style>${STYLE}
  </style>
  <rect class="paper" width="${WIDTH}" height="${height}"/>
  <text class="title" x="${MARGIN}" y="28">Time for one operation, and memory; shorter is better</text>
  <text class="dim" x="${MARGIN}" y="46">${escape(about)}. Each panel has its own axis; → marks a bar that is cut off.</text>
${drawn.join('\n')}
</svg>
`;
}
