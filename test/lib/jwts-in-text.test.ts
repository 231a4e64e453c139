import fc from 'fast-check';
import { expect, it } from 'vitest';
import { withoutJwts } from '../../src/lib/jwts-in-text.ts';

const [HEAD, PAYLOAD, SIGNATURE] = ['eyJhbGciOiJFZERTQSJ9', 'eyJzdWIiOiJhIn0', 'c2lnbmF0dXJl_-0'];

it.each([
  ['alone', `${HEAD}.${PAYLOAD}.${SIGNATURE}`, '#'],
  ['behind letters', `x_${HEAD}.${PAYLOAD}.${SIGNATURE} y`, 'x_# y'],
  ['one after the other', `${HEAD}.a.b.${HEAD}.a.b/${HEAD}.a.`, '#.#/#'],
  ['in the second part of something', `first-part.${HEAD}.a.b`, 'first-part.#'],
  ['without a signature', `/${HEAD}.${PAYLOAD}/`, '/#/'],
  ['a header alone', `${HEAD}. ${HEAD}`, `${HEAD}. ${HEAD}`],
  ['a header that is none', 'eyJabc.x.y', 'eyJabc.x.y'],
])('a token %s', (_, text, expected) => {
  expect(withoutJwts(text, '#', { payload: 1, signature: null })).toBe(expected);
});

// What the function says in one line, and in the square of the text's length.
it.each([
  ['loosely', { payload: 1, signature: null }, /eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g],
  ['strictly', { payload: 8, signature: 8 }, /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g],
] as const)('%s, it finds what a regular expression would', (_, least, pattern) => {
  const piece = fc.constantFrom('eyJ', 'eyJabcdefgh', 'abcdefgh', 'a', '_-', '.', '..', '/', ' ', 'é');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const text = pieces.join('');
      expect(withoutJwts(text, '#', least)).toBe(text.replace(pattern, '#'));
    }),
    { numRuns: 20_000 },
  );
});
