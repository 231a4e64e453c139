/**
 * A query without the parameters of some names; `;` separates as `&` does, and all other bytes stay as they are.
 *
 * @param isDropped Asked about every name as {@link looseName} has it.
 */
export function withoutParams(query: string, isDropped: (name: string) => boolean): string {
  const isKept = (pair: string): boolean => !isDropped(looseName(pair.split('=', 1)[0] as string));
  const kept: string[] = [];
  for (const pairs of query.split('&')) {
    const others = pairs.split(';').filter(isKept).join(';');
    if (others !== '' || pairs === '') kept.push(others);
  }
  return kept.join('&');
}

/**
 * A parameter's name as the loosest server reads it: percent-decoded, without regard to case, to white space around it and to
 * brackets around or after it (Rack drops those before), and dots and spaces within as `_` (PHP). Bytes as Latin-1: an overlong
 * or broken escape must not hide the rest of a name.
 */
export function looseName(name: string): string {
  return name
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, pair: string) => String.fromCharCode(Number.parseInt(pair, 16)))
    .replace(/^[\s\0[\]]+/, '')
    .replace(/[[\]].*$/s, '')
    .replace(/[\s\0]+$/, '')
    .replace(/[.\s]/g, '_')
    .toLowerCase();
}
