/**
 * A scanner for JavaScript and TypeScript that knows just enough to find imports: it tells words, strings and
 * punctuation apart and skips comments and regular expressions, so that an import in a comment is none.
 *
 * Stands on nothing. TypeScript 7 offers no parser to JavaScript callers, and a whole parser is not needed.
 */

/** @typedef {{ kind: 'word' | 'string' | 'template' | 'punctuation', text: string, line: number }} Token */

const WORD = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*|\d[\w.]*/uy;
const SPACE = /\s+/y;
const COMMENT = /\/\/[^\n]*|\/\*[^]*?\*\//y;
const STRING = /'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"/y;
const REGEXP = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y;
/** Template text up to the next `${` or the closing backquote. */
const TEMPLATE = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:\$\{|`)/y;

/** After these words a slash begins a regular expression; after any other word it divides. */
const BEFORE_REGEXP = new Set(['return', 'typeof', 'case', 'in', 'of', 'delete', 'void', 'throw', 'new', 'else', 'do']);

/**
 * Tells whether a slash begins a regular expression: it does where no value stands before it.
 *
 * @param {readonly Token[]} tokens what was read so far
 */
function startsRegExp(tokens) {
  const [before, last] = [tokens.at(-2), tokens.at(-1)];
  if (last === undefined) return true;
  if (last.kind === 'word') return BEFORE_REGEXP.has(last.text);
  if (last.kind !== 'punctuation' || ')]}'.includes(last.text)) return false;
  // `a! / b` and `i++ / b` divide.
  if (last.text === '!') return !(before?.kind === 'word' || before?.text === ')' || before?.text === ']');
  return !('+-'.includes(last.text) && before?.text === last.text);
}

/**
 * Splits source text into tokens.
 *
 * @param {string} text
 * @returns {Token[]} in order; a string's text is what stands between the quotes
 * @throws Error when a string, comment or template does not end
 */
export function tokenize(text) {
  /** @type {Token[]} */
  const tokens = [];
  /** Depth of braces at which each open template goes on. @type {number[]} */
  const templates = [];
  let depth = 0;
  let at = 0;
  let line = 1;

  /** @param {RegExp} pattern */
  const match = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? '';
    at += found.length;
    return found;
  };
  /** @param {Token['kind']} kind @param {string} token */
  const push = (kind, token) => tokens.push({ kind, text: token, line });
  const template = () => {
    const found = match(TEMPLATE);
    if (found === '') throw new Error(`line ${line}: a template does not end`);
    push('template', found);
    if (found.endsWith('${')) templates.push(depth++);
    return found;
  };

  while (at < text.length) {
    let found = match(SPACE) || match(COMMENT);
    if (found === '' && (found = match(WORD)) !== '') push('word', found);
    if (found === '' && (found = match(STRING)) !== '') push('string', found.slice(1, -1));
    if (found === '' && text[at] === '/' && startsRegExp(tokens)) found = match(REGEXP);
    if (found === '') {
      const char = /** @type {string} */ (text[at++]);
      found = char;
      if (char === "'" || char === '"') throw new Error(`line ${line}: a string does not end`);
      if (char === '/' && text[at] === '*') throw new Error(`line ${line}: a comment does not end`);
      if (char === '{') depth++;
      if (char === '}') depth--;
      if (char === '`') found += template();
      else if (char === '}' && templates.at(-1) === depth) {
        templates.pop();
        found += template();
      } else push('punctuation', char);
    }
    for (const char of found) if (char === '\n') line++;
  }
  if (templates.length > 0) throw new Error(`line ${line}: a template does not end`);
  return tokens;
}
