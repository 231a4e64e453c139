import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBody } from '../../src/policy/body.ts';
import { policyOf, verdictOf } from './support.ts';

interface Row {
  contentType: string;
  contentEncoding?: string;
  body: string;
  must: 'allow' | 'deny';
  why: string;
}
const { rows } = JSON.parse(readFileSync(new URL('../data/body-corpus.json', import.meta.url), 'utf8')) as {
  rows: Row[];
};
const refund = policyOf('capabilities: { refund: { allow: POST /v1/refunds, when: body.amount <= 5000 } }');

const read = (text: string, type: string | null = 'application/json', coding: string | null = null) =>
  parseBody(new TextEncoder().encode(text), type, coding);

describe('the body corpus (threats A14c, A14d, A15)', () => {
  it.each(rows.map((row) => [row.why, row] as const))('%s', (_why, row) => {
    const headers: Record<string, string> = {};
    if (row.contentType !== '') headers['content-type'] = row.contentType;
    if (row.contentEncoding !== undefined) headers['content-encoding'] = row.contentEncoding;
    const verdict = verdictOf(refund, { method: 'POST', path: '/v1/refunds', headers, body: row.body });
    expect(verdict === 'allow' ? 'allow' : 'deny').toBe(row.must);
  });
});

describe('each refusal says why', () => {
  it.each([
    ['{"_method":"DELETE"}', 'method_override'],
    ['{"a":1,"\\u0061":2}', 'duplicate_key'],
    ['{"a":{"b":1,"b":1}}', 'duplicate_key'],
    ['[{"a":1,"x":"{","a":1}]', 'duplicate_key'],
    ['{"x":"\\"","a":1,"a":2}', 'duplicate_key'],
    ['{"x":"\\\\","a":1,"a":2}', 'duplicate_key'],
    ['{"a\\"":1,"a\\u0022":2}', 'duplicate_key'],
    ['{"a" :1,"a"\n:2}', 'duplicate_key'],
    ['{"a"\t:1,"a"\r:2}', 'duplicate_key'],
    ['{"amount":1,"Amount":2}', 'duplicate_key'],
    ['{"a":{"kelvin":1,"\u212aelvin":2}}', 'duplicate_key'],
    ['{"s":1,"\u017f":2}', 'duplicate_key'],
    ['{"\u00df":1,"\u1e9e":2}', 'duplicate_key'],
    [`${'['.repeat(65)}${']'.repeat(65)}`, 'too_deep'],
    ['[1e400]', 'number_not_finite'],
    ['["\\ud800"]', 'not_utf8'],
    ['["\\ude00\\ud83d"]', 'not_utf8'],
    ['{"a\\ud800":1}', 'not_utf8'],
    ['{"amount\\u0000":1}', 'control_character'],
    ['{"a":1,}', 'malformed'],
    ["{'a':1}", 'malformed'],
    ['{"a":01}', 'malformed'],
    ['NaN', 'malformed'],
    ['', 'malformed'],
    ['\ufeff{}', 'byte_order_mark'],
  ])('JSON %s is %s', (text, why) => {
    expect(read(text)).toEqual({ ok: false, error: why });
  });

  it.each([
    ['a=1&a=2', 'duplicate_key'],
    ['a=1&%61=2', 'duplicate_key'],
    ['=1&=2', 'duplicate_key'],
    ['a=1&A=2', 'duplicate_key'],
    ['a=1&a[]=2', 'duplicate_key'],
    ['a=1&a%5Bb%5D=2', 'duplicate_key'],
    ['a[b]=1&a[b][c]=2', 'duplicate_key'],
    ['a=1&a[b][c]=2', 'duplicate_key'],
    ['+a=2', 'malformed'],
    ['[a]=2', 'malformed'],
    ['%5Bexpand%5D%5B%5D=x', 'malformed'],
    [']a=2', 'malformed'],
    ['a[][b]=1&a[0][b]=2', 'duplicate_key'],
    ['filter[owner]=acme&filter=', 'duplicate_key'],
    ['a[b][c]=1&a[b]=2', 'duplicate_key'],
    ['a[b][]=1&a[b]=2', 'duplicate_key'],
    ['limit]=2', 'malformed'],
    ['a[b=2', 'malformed'],
    ['{"amount":9999,"x":"&amount=1&y="}', 'malformed'],
    ['%7B"amount":9999}', 'malformed'],
    ['a[b]c=2', 'malformed'],
    ['a[b]]=2', 'malformed'],
    ['a[[b]=2', 'malformed'],
    ['a[][][b]=2', 'malformed'],
    ['a_b=1&a.b=2', 'duplicate_key'],
    ['a_b=1&a+b=2', 'duplicate_key'],
    ['a=%', 'malformed'],
    ['a=%c0%ae', 'malformed'],
    ['a=1&&b=2', 'malformed'],
    ['a=é', 'malformed'],
    ['a=1;b=2', 'semicolon_separator'],
    ['a=%00', 'control_character'],
  ])('form %s is %s', (text, why) => {
    expect(read(text, 'application/x-www-form-urlencoded')).toEqual({ ok: false, error: why });
  });

  it.each([
    'application/x-amz-json-1.0',
    'application/X-Amz-JSON-1.1; charset=utf-8',
    'application/vnd.elasticsearch+json; compatible-with=9',
    'application/merge-patch+json',
  ])('content type %s is JSON, as strictly', (type) => {
    expect(read('{"QueueUrl":"https://q/1"}', type)).toEqual({ ok: true, value: { QueueUrl: 'https://q/1' } });
    expect(read('{"a":1,"a":2}', type)).toEqual({ ok: false, error: 'duplicate_key' });
  });

  it.each([
    [null, 'content_type_missing'],
    ['text/json', 'content_type_unsupported'],
    ['application/x-amz-json-2.0', 'content_type_unsupported'],
    ['application/x-amz-json-1.0+xml', 'content_type_unsupported'],
    ['application/x-ndjson', 'content_type_unsupported'],
    [`application/json; a=${'x'.repeat(300)}`, 'content_type_unsupported'],
    ['application/json, application/json', 'content_type_ambiguous'],
    ['application/json; charset=latin1', 'charset_unsupported'],
    ['application/json; charset=utf-8; charset=utf-16', 'content_type_ambiguous'],
    ["application/json; charset=utf-8; charset*=utf-8''utf-7", 'charset_unsupported'],
    ['application/x-www-form-urlencoded; charset*0=utf-; charset*1=16', 'charset_unsupported'],
    ['application/json; charset', 'content_type_unsupported'],
  ])('content type %s is %s', (type, why) => {
    expect(read('{}', type)).toEqual({ ok: false, error: why });
  });

  it('bytes that are no UTF-8', () => {
    expect(parseBody(Uint8Array.of(0x22, 0xff, 0x22), 'application/json', null)).toEqual({
      ok: false,
      error: 'not_utf8',
    });
  });

  it('identity is no coding, gzip is one', () => {
    expect(read('{}', 'application/json', 'identity').ok).toBe(true);
    expect(read('{}', 'application/json', 'gzip')).toEqual({ ok: false, error: 'content_coding' });
  });
});

describe('what is read', () => {
  it('objects have no prototype, and __proto__ is a key like any other', () => {
    const body = read('{"__proto__":{"admin":true},"a":{}}');
    expect(body.ok).toBe(true);
    const value = (body.ok ? body.value : null) as { a: object; admin?: unknown };
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.getPrototypeOf(value.a)).toBeNull();
    expect(value.admin).toBeUndefined();
    expect(Object.keys(value)).toEqual(['__proto__', 'a']);
  });

  it('is what JSON.parse reads, for every JSON text', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value);
        const body = read(text);
        // Two keys that differ in case alone are refused.
        fc.pre(body.ok || body.error !== 'duplicate_key');
        expect(body.ok && JSON.parse(JSON.stringify(body.value))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('has no text that UTF-8 cannot hold, and a pair of surrogates is one character', () => {
    expect(read('["\\ud83d\\ude00", "\\u0000"]')).toEqual({ ok: true, value: ['\u{1f600}', '\0'] });
    const unit = fc.constantFrom('a', '\\ud83d', '\\uDE00', '\\u00e9', '\u{1f600}', '\\\\');
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 8 }), (units) => {
        const literal = `"${units.join('')}"`;
        const body = read(`{${literal}: ${literal}}`);
        const text: string = JSON.parse(literal);
        // What goes through UTF-8 and comes back as it was.
        expect(body.ok).toBe(new TextDecoder().decode(new TextEncoder().encode(text)) === text);
      }),
      { seed: 15 },
    );
  });

  it('bytes of any kind never make it throw', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom('application/json', 'application/x-www-form-urlencoded'),
        (bytes, type) => {
          expect(typeof parseBody(bytes, type, null).ok).toBe('boolean');
        },
      ),
    );
  });

  it('nesting to the very bound', () => {
    expect(read(`${'['.repeat(64)}${']'.repeat(64)}`).ok).toBe(true);
  });

  it('keys of another object are no keys given twice, and many lists side by side are not deep', () => {
    expect(read('{"a":{"b":1},"b":{"a":2}}').ok).toBe(true);
    expect(read('[{"a":1},{"a":2}]').ok).toBe(true);
    expect(read('{"a":{"b":1},"a":2}')).toEqual({ ok: false, error: 'duplicate_key' });
    expect(read(`[${Array.from({ length: 70 }, () => '[{}]').join(',')}]`).ok).toBe(true);
  });

  it('a form without fields', () => {
    expect(read('', 'application/x-www-form-urlencoded')).toEqual({ ok: true, value: {} });
  });
  it('a form as curl -d sends it, with bare spaces in its values', () => {
    const body = read('text=two words&a=+b ', 'application/x-www-form-urlencoded');
    expect(body.ok && { ...(body.value as object) }).toEqual({ text: 'two words', a: ' b ' });
    expect(read(' a=1', 'application/x-www-form-urlencoded').ok).toBe(false);
    expect(read('a_b=1&a b=2', 'application/x-www-form-urlencoded').ok).toBe(false);
  });

  it('a form has at most as many fields as every server reads', () => {
    const fields = Array.from({ length: 1001 }, (_, i) => `f${i}=`);
    expect(read(fields.slice(1).join('&'), 'application/x-www-form-urlencoded').ok).toBe(true);
    expect(read(fields.join('&'), 'application/x-www-form-urlencoded')).toEqual({
      ok: false,
      error: 'too_many_fields',
    });
  });

  // Each beginning of it is a name of its own: of a line of brackets they filled the memory, and the edge died of one request.
  it('a name has so many parts, and is so long, and not more', () => {
    const form = (text: string) => read(text, 'application/x-www-form-urlencoded');
    const deep = (parts: number): string => `a${'[b]'.repeat(parts)}=1`;
    expect(form(deep(16)).ok).toBe(true);
    expect(form(deep(17))).toEqual({ ok: false, error: 'too_deep' });
    expect(form(`${'a'.repeat(1024)}=1`).ok).toBe(true);
    expect(form(`${'a'.repeat(1025)}=1`)).toEqual({ ok: false, error: 'name_too_long' });
    const begun = performance.now();
    expect(form(deep(300_000)).ok).toBe(false);
    expect(form(Array.from({ length: 1_000 }, (_, i) => `a${i}${'[b]'.repeat(300)}=1`).join('&')).ok).toBe(false);
    expect(performance.now() - begun).toBeLessThan(1_000);
  });

  it('a form may name several parts of one thing', () => {
    expect(read('m[a]=1&m[b]=2&m[b2][c]=3&l[0]=4&l[1]=5&a=6&ab=7', 'application/x-www-form-urlencoded').ok).toBe(true);
  });

  it('to a server that nests by brackets, no field of a form has the value of another', () => {
    const part = fc.constantFrom('a', 'b', 'A', '.', '+', '_', '[', ']', '[]', '[a]', '[b]', '[0]', '%5B');
    const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), (names) => {
        const text = names.map((one, i) => `${one}=${i}`).join('&');
        fc.pre(read(text, 'application/x-www-form-urlencoded').ok);
        const nested = nestedByBrackets(text);
        for (const [one, value] of new URLSearchParams(text)) {
          let there: Nested | string | undefined = nested;
          for (const key of one.replaceAll(']', '').split('[')) {
            const at: string = nested === there ? key.replace(/[ .]/g, '_').toLowerCase() : key || '0';
            there = typeof there === 'object' ? there[at] : undefined;
          }
          // Nothing is left of a list whose name came later.
          if (there !== undefined || !one.endsWith('[]')) expect(there).toBe(value);
        }
      }),
      { seed: 5, numRuns: 1000 },
    );
  });

  it('a form is flat, a plus is a space, and brackets mean nothing', () => {
    expect(read('metadata[order]=a+b%2B&x', 'application/x-www-form-urlencoded; charset=UTF-8')).toMatchObject({
      ok: true,
      value: { 'metadata[order]': 'a b+', x: '' },
    });
  });
});

type Nested = { [part: string]: Nested | string };

/** As PHP reads a form: the name ends at the first bracket, what follows the last whole one is overlooked, and the last of two wins; with Rack's `a]` for `a`. */
function nestedByBrackets(text: string): Nested {
  const root: Nested = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const [, first = '', rest = ''] = /^[ [\]]*([^[]*)((?:\[[^\]]*\])*)/.exec(name) ?? [];
    const base = first.replace(/[ .]/g, '_').replace(/\]+$/, '').toLowerCase();
    const parts = [base, ...[...rest.matchAll(/\[([^\]]*)\]/g)].map(([, part]) => part || '0')];
    const last = parts.pop() as string;
    let here = root;
    for (const part of parts) {
      const inner = here[part];
      here = typeof inner === 'object' ? inner : (here[part] = {});
    }
    here[last] = value;
  }
  return root;
}
