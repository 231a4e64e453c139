/** What a JWT's parts may be made of (RFC 7515 §2), and the dots between. */
const RUNS = /[\w-][\w.-]*/g;
/** Characters of the shortest header: `eyJ` is base64url of `{"`. */
const HEADER = 11;

export interface JwtParts {
  /** Characters of the shortest payload. */
  readonly payload: number;
  /** Characters of the shortest signature; null when there need be none. */
  readonly signature: number | null;
}

/**
 * A text with a mark in the place of every JWT (RFC 7519), whatever stands before it.
 *
 * Part by part, and by no one regular expression: that would look, from each of many beginnings, to the end of the text, and
 * one request with a long line of `eyJeyJeyJ…` would hold up all others for seconds.
 */
export const withoutJwts = (text: string, mark: string, least: JwtParts): string =>
  text.replace(RUNS, (run) => (run.includes('eyJ') ? markedIn(run, mark, least) : run));

function markedIn(run: string, mark: string, least: JwtParts): string {
  const parts = run.split('.');
  const out: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    const begin = part.indexOf('eyJ');
    const payload = parts[i + 1]?.length ?? 0;
    const signature = parts[i + 2]?.length ?? 0;
    const isJwt =
      begin >= 0 && part.length - begin >= HEADER && payload >= least.payload && signature >= (least.signature ?? 0);
    out.push(isJwt ? part.slice(0, begin) + mark : part);
    if (isJwt) i += 2;
  }
  return out.join('.');
}
