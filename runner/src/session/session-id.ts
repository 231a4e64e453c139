import { randomBytes } from 'node:crypto';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** `ses_` and a ULID in lower case: 48 bits of Unix ms, so that ids sort by birth, and 80 random bits. */
export function makeSessionId(nowMs: number = Date.now()): string {
  let value = (BigInt(Math.floor(nowMs)) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`);
  let text = '';
  for (let i = 0; i < 26; i += 1) {
    text = CROCKFORD.charAt(Number(value & 31n)) + text;
    value >>= 5n;
  }
  return `ses_${text}`;
}

/** Ids name folders, cgroups and containers: nothing else is ever joined to a path. */
export const isSessionId = (text: string): boolean => /^ses_[0-9a-z]{26}$/.test(text);
