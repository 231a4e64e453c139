/**
 * What a client may know of a no: the one wall for words. Rich reasons go to the audit row, these go out.
 */
export interface PublicProblem {
  readonly status: number;
  /** Stable, snake_case; for programs. */
  readonly code: string;
  readonly title: string;
  /** One or two sentences for people and models: what is wrong and how to mend it. */
  readonly message: string;
  readonly retryAfterSeconds: number | null;
  /** RFC 6750 §3.1 error code for the challenge of a 401, null when no authentication was tried. */
  readonly challenge: { readonly error: 'invalid_token' | null } | null;
  /** False: an SDK that sends it again by itself, soon, gets the same no, whatever its status usually means. */
  readonly worthRetrying?: boolean;
  /** For a 405, which must name the methods that there are (RFC 9110 §15.5.6). */
  readonly allow?: readonly string[];
  /** RFC 9209 §2.3 proxy error type. */
  readonly proxyError: string;
}

export const problem = (
  status: number,
  code: string,
  title: string,
  message: string,
  more: Partial<Pick<PublicProblem, 'retryAfterSeconds' | 'challenge' | 'proxyError' | 'worthRetrying' | 'allow'>> = {},
): PublicProblem => ({
  status,
  code,
  title,
  message,
  retryAfterSeconds: more.retryAfterSeconds ?? null,
  challenge: more.challenge ?? null,
  worthRetrying: more.worthRetrying ?? true,
  ...(more.allow === undefined ? {} : { allow: more.allow }),
  proxyError: more.proxyError ?? 'http_request_denied',
});
