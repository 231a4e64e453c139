/** What is wrong with a pattern of `matches()`, and what to write instead. */
export interface PatternProblem {
  readonly message: string;
  readonly fix: string;
}

/**
 * Whether a pattern means one thing. CEL's patterns are RE2's, and what evaluates them here is the engine's RegExp, which
 * takes what it does not know for plain letters: of `\Aevil\z` it makes `Aevilz`, of `[[:alpha:]]` a class of `:alph[` and a
 * bracket. A denial so written would never deny. Its strict mode refuses nearly all of that.
 */
export function problemOfPattern(pattern: string): PatternProblem | null {
  if (!compiles(pattern)) {
    return { message: 'the pattern of matches() is no regular expression', fix: 'correct it; a literal dot is "[.]"' };
  }
  // A sign may be escaped to be itself, everywhere; strict mode wants to hear of it in figures.
  const signs = pattern.replace(
    /\\([^A-Za-z0-9])/gsu,
    (_, sign: string) => `\\u{${sign.codePointAt(0)?.toString(16)}}`,
  );
  // These are known to strict mode alone.
  if (!/\\(?:[pP]|u\{)/.test(pattern.replace(/\\\\/g, '')) && compiles(signs, 'u')) return null;
  return {
    message: 'the pattern of matches() has parts that mean something else here than in RE2',
    fix: 'write ^ and $ for \\A and \\z, [A-Za-z] for [[:alpha:]] or \\pL, [.] for \\Q.\\E, {0,5} for {,5}, and escape ] { } that stand for themselves',
  };
}

function compiles(pattern: string, flags = ''): boolean {
  try {
    new RegExp(pattern, flags);
    return true;
  } catch {
    return false;
  }
}
