/**
 * Makes any text one line of printable ASCII: everything else becomes `\uXXXX`, so that it can break no log line, terminal
 * or page (control characters, escape sequences, bidirectional overrides, line separators).
 *
 * @param maxLength Characters of the result.
 */
export function printable(text: string, maxLength: number): string {
  const safe = text
    .slice(0, maxLength)
    .replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return safe.slice(0, maxLength);
}
