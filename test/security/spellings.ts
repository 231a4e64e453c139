const percent = (s: string): string => [...Buffer.from(s)].map((b) => `%${b.toString(16).padStart(2, '0')}`).join('');
const escaped = (s: string): string =>
  [...s].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
const reversed = (s: string): string => [...s].toReversed().join('');
export const b64 = (s: string): string => Buffer.from(s).toString('base64');

/** How an upstream may say a key back. */
export const SPELLINGS: readonly [string, (key: string) => string][] = [
  ['raw', (key) => key],
  ['percent-encoded where needed', (key) => encodeURIComponent(key)],
  ['percent-encoded everywhere, lower case', percent],
  ['percent-encoded everywhere, upper case', (key) => percent(key).toUpperCase()],
  ['percent-encoded twice', (key) => encodeURIComponent(encodeURIComponent(key))],
  ['in a JSON string', (key) => JSON.stringify(key).slice(1, -1)],
  ['in \\u escapes', escaped],
  ['hex', (key) => Buffer.from(key).toString('hex')],
  ['hex in upper case', (key) => Buffer.from(key).toString('hex').toUpperCase()],
  ['base64', b64],
  ['base64 without padding', (key) => b64(key).replace(/=+$/, '')],
  ['base64 one byte later', (key) => b64(`a${key}`)],
  ['base64 two bytes later', (key) => b64(`ab${key}z`)],
  ['base64 inside a longer text', (key) => b64(`{"authorization":"Bearer ${key}","x":1}`)],
  ['base64url', (key) => Buffer.from(key).toString('base64url')],
  ['base64url of "Bearer key"', (key) => Buffer.from(`Bearer ${key}`).toString('base64url')],
  ['reversed', reversed],
  ['the Basic pair raw, key as user', (key) => `${key}:`],
  ['the Basic pair raw, key as password', (key) => `robot:${key}`],
  ['the Basic pair in base64, key as user', (key) => b64(`${key}:`)],
  ['the Basic pair in base64, key as password', (key) => b64(`robot:${key}`)],
  ['HTML entities', (key) => key.replace(/[&<>"'+/=]/g, (c) => `&#${c.charCodeAt(0)};`)],
  ['UTF-16', (key) => Buffer.from(key, 'utf16le').toString('latin1')],
];
