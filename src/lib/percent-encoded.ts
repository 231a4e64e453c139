/** A character of US-ASCII as an escape (RFC 3986 §2.1). */
export const escapeOf = (c: string): string => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** Text with everything escaped, as UTF-8, but the unreserved characters (RFC 3986 §2.3); AWS calls it `UriEncode`. */
export const percentEncoded = (text: string): string => encodeURIComponent(text).replace(/[!'()*]/g, escapeOf);
