import { describe, expect, it } from 'vitest';
import { shownHeader, shownPlain, shownQuery, shownText, shownTree, visible } from '../../src/approvals/shown.ts';

const none = (text: string): string => text;
const bank = (text: string): string => text.replaceAll('bank-key-0123456789', '[redacted]');

describe('what could deceive an eye (threat 26)', () => {
  it.each([
    ['a bidi override', 'safe\u202eevil', 'safe\\u{202e}evil'],
    ['an isolate', 'a\u2066b', 'a\\u{2066}b'],
    ['a zero-width space', 'a\u200bb', 'a\\u{200b}b'],
    ['a tag character', 'a\u{e0041}b', 'a\\u{e0041}b'],
    ['a variation selector', 'a\ufe0fb', 'a\\u{fe0f}b'],
    ['a no-break space', 'a\u00a0b', 'a\\u{a0}b'],
    ['a Hangul filler', 'a\u3164b', 'a\\u{3164}b'],
    ['a newline', 'a\nb', 'a\\u{a}b'],
    ['an escape sequence', '\u001b[2J', '\\u{1b}[2J'],
    ['a lone half of a pair', 'a\ud800b', 'a\\u{d800}b'],
    ['an escape that the agent wrote itself', '\\u{202e}', '\\\\u{202e}'],
    ['other scripts stay', 'żółć 東京 🎉', 'żółć 東京 🎉'],
  ])('%s', (_, text, expected) => expect(visible(text)).toBe(expected));
});

it('a text that begins like a token over and over takes no longer than another', () => {
  const begun = performance.now();
  expect(shownText('eyJ'.repeat(350_000), none)).toMatch(/^(?:eyJ)+…|^(?:eyJ)+ey?… /);
  expect(performance.now() - begun).toBeLessThan(1_000);
});

describe('secrets', () => {
  it.each([
    ['a known credential', 'x bank-key-0123456789 y', 'x [redacted] y'],
    ['a Stripe key', 'sk_live_0123456789abcdefABCD', '[masked]'],
    ['a GitHub token', 'ghp_0123456789abcdefghijABCDEFGHIJ012345', '[masked]'],
    ['a GitHub fine-grained token', `github_pat_${'a1'.repeat(12)}`, '[masked]'],
    ['a GitLab token', `glpat-${'a1'.repeat(10)}`, '[masked]'],
    ['a Slack token', `xoxb-${'0123456789'.repeat(2)}`, '[masked]'],
    ['a Google key', `AIza${'a1'.repeat(18)}`, '[masked]'],
    ['a Google access token', `ya29.${'a1'.repeat(12)}`, '[masked]'],
    ['a SendGrid key', `SG.${'a1'.repeat(10)}.${'b2'.repeat(12)}`, '[masked]'],
    ['an npm token', `npm_${'a1'.repeat(18)}`, '[masked]'],
    ['a Hugging Face token', `hf_${'a1'.repeat(17)}`, '[masked]'],
    ['a private key that was cut off', '-----BEGIN RSA PRIVATE KEY-----\nabc', '[masked]'],
    ['an AWS key id', 'id=AKIAIOSFODNN7EXAMPLE', 'id=[masked]'],
    ['a JWT', 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlMDEyMw', '[masked]'],
    ['a private key', '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----', '[masked]'],
    ['plain words', 'refund of order 4711', 'refund of order 4711'],
  ])('%s', (_, text, expected) => expect(shownText(text, bank)).toBe(expected));

  it('by the name of the field, of a parameter and of a header', () => {
    expect(shownTree({ password: 'hunter2', token_count: 3, note: 'x' }, none)).toMatchObject({
      entries: [
        { name: 'password', value: { text: '[masked]', length: 7, masked: true } },
        { name: 'token_count', value: { kind: 'number', text: '3' } },
        { name: 'note', value: { text: 'x' } },
      ],
    });
    expect(shownTree({ passwords: ['a'], password: ['hunter2', ['hunter3']] }, none)).toMatchObject({
      entries: [
        { value: { items: [{ text: 'a' }] } },
        { value: { items: [{ text: '[masked]' }, { items: [{ text: '[masked]', masked: true }] }] } },
      ],
    });
    expect(shownQuery('a=1&api_key=abc&b=2', none)).toBe('a=1&api_key=[masked]&b=2');
    expect(shownHeader('x-auth-token', 'abc', none)).toBe('[masked]');
  });
});

describe('a tree shows what is there', () => {
  it('each kind of value as itself', () => {
    expect(shownTree({ a: null, b: true, c: false, d: 1.5, e: '', f: [], g: {} } as never, none)).toEqual({
      kind: 'object',
      more: 0,
      entries: [
        { name: 'a', value: { kind: 'null' } },
        { name: 'b', value: { kind: 'boolean', value: true } },
        { name: 'c', value: { kind: 'boolean', value: false } },
        { name: 'd', value: { kind: 'number', text: '1.5' } },
        { name: 'e', value: { kind: 'string', text: '' } },
        { name: 'f', value: { kind: 'list', items: [], more: 0 } },
        { name: 'g', value: { kind: 'object', entries: [], more: 0 } },
      ],
    });
  });
});

describe('bounds', () => {
  it('long text is cut, and its length stands beside it', () => {
    const value = shownTree('é'.repeat(5000), none);
    expect(value).toMatchObject({ kind: 'string', length: 5000 });
    expect((value as { text: string }).text).toHaveLength(400);
  });
  it('never inside an escape', () =>
    expect(shownText(`${'a'.repeat(398)}\u202e`, none)).toBe(`${'a'.repeat(398)}… [8 more characters not shown]`));
  it.each([
    ['a query', (text: string) => shownQuery(text, none), 2000],
    ['a field of the header section', (text: string) => shownHeader('x-note', text, none), 200],
    [
      'a text body',
      (text: string) => (shownPlain(new TextEncoder().encode(text), none) as { text: string }).text,
      2000,
    ],
  ])('%s that is cut says so: nobody agrees to what is not shown', (_, shown, most) => {
    expect(shown('a'.repeat(most))).toBe('a'.repeat(most));
    expect(shown(`${'a'.repeat(most)}&amount=9`)).toBe(`${'a'.repeat(most)}… [9 more characters not shown]`);
    expect(shown(`${'a'.repeat(most)}🎉`)).toMatch(/… \[1 more character not shown\]$/);
  });
  it('deep, broad and large bodies', () => {
    const kindsOf = (tree: unknown): string[] =>
      [...JSON.stringify(tree).matchAll(/"kind":"(\w+)"/g)].map(([, k = '']) => k);
    let deep: unknown = 1;
    for (let i = 0; i < 50; i++) deep = [deep];
    expect(kindsOf(shownTree(deep as never, none))).toEqual([...Array(9).fill('list'), 'cut']);
    expect(
      shownTree(
        Array.from({ length: 1000 }, () => 1),
        none,
      ),
    ).toMatchObject({ kind: 'list', more: 940 });
    const wide = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`k${i}`, Array.from({ length: 50 }, () => 'y'.repeat(1000))]),
    );
    const shown = shownTree(wide, none);
    expect(kindsOf(shown).filter((kind) => kind !== 'cut')).toHaveLength(300);
    expect(JSON.stringify(shown).length).toBeLessThan(300_000);
  });
  it('a number that is not sent as it is shown says so', () => {
    expect(shownTree(2 ** 60, none)).toMatchObject({ inexact: true });
    expect(shownTree(2 ** 53 - 1, none)).not.toHaveProperty('inexact');
  });
  it('what is no text is not shown', () => expect(shownPlain(new Uint8Array([0xff, 0xfe]), none)).toBeNull());
});
