import { describe, expect, it } from 'vitest';
import { linkOf, nonceOfLink } from '../../src/approvals/link.ts';

const secret = 'a secret of more than thirty-two characters';
const id = '11111111-2222-4333-8444-555555555555';
const nonce = '99999999-8888-4777-8666-555555555555';
const T = 1_800_000_000_000;

describe('decision links', () => {
  const link = linkOf(secret, id, nonce, T + 60_000);
  it('give their nonce back', () => expect(nonceOfLink(secret, id, link, T)).toBe(nonce));
  it.each([
    ['another secret', nonceOfLink('another secret of more than thirty-two', id, link, T)],
    ['another approval', nonceOfLink(secret, nonce, link, T)],
    ['too late', nonceOfLink(secret, id, link, T + 60_000)],
    ['another nonce', nonceOfLink(secret, id, link.replace('9999', '9998'), T)],
    ['a later end', nonceOfLink(secret, id, link.replace('1800000060', '1900000060'), T)],
    ['a signature cut short', nonceOfLink(secret, id, link.slice(0, -1), T)],
    ['nothing', nonceOfLink(secret, id, '', T)],
  ])('%s: not valid', (_, got) => expect(got).toBeNull());
});
