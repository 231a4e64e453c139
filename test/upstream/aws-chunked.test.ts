import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CanonicalPath } from '../../src/access.ts';
import { AwsChunkedDecoder, awsChunkedStream, MAX_LINE_BYTES } from '../../src/upstream/aws-chunked.ts';
import { decodeAwsChunkedBody, type Gather } from '../../src/upstream/aws-chunked-body.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const SIGNATURE = `;chunk-signature=${'0123456789abcdef'.repeat(4)}`;
const coded = (chunks: string[], extension = '', trailers: string[] = []) =>
  [...chunks, '']
    .map((chunk) => `${chunk.length.toString(16)}${extension}\r\n${chunk}${chunk === '' ? '' : '\r\n'}`)
    .join('') +
  trailers.map((trailer) => `${trailer}\r\n`).join('') +
  '\r\n';

/** The decoded text, or what is wrong. */
function decode(
  text: string,
  length: number,
  trailers = true,
  pieces: number[] = [],
): { text?: string; error?: string; trailers?: Record<string, string> } {
  const decoder = new AwsChunkedDecoder(length, trailers);
  const body = bytes(text);
  const cuts = [0, ...pieces.map((piece) => piece % (body.length + 1)).sort((a, b) => a - b), body.length];
  let out = '';
  for (let i = 1; i < cuts.length; i++) {
    const decoded = decoder.push(body.slice(cuts[i - 1], cuts[i]));
    if (!decoded.ok) return { error: decoded.error };
    out += Buffer.concat(decoded.value).toString();
  }
  const ended = decoder.end();
  return ended.ok ? { text: out, trailers: Object.fromEntries(decoder.trailers) } : { error: ended.error };
}

/** The whole text at once, by what the documentation says; null when it is none. */
function decodedByGrammar(text: string, length: number): string | null {
  let rest = text;
  let out = '';
  for (;;) {
    const head = /^([0-9a-f]{1,12})(?:;chunk-signature=[0-9a-f]{64})?\r\n/i.exec(rest);
    if (head === null) return null;
    const size = Number.parseInt(head[1] as string, 16);
    rest = rest.slice(head[0].length);
    if (size === 0) break;
    if (rest.slice(size, size + 2) !== '\r\n') return null;
    out += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
  const trailers = /^(?:x-amz-[a-z0-9-]+:[ \t]*[!-~](?:[ -~]*[!-~])?\r\n)*\r\n$/i;
  return out.length === length && trailers.test(rest) ? out : null;
}

describe('aws-chunked', () => {
  it('a body longer than it says is told by the chunk that goes beyond, before any of it is passed on', () => {
    const decoder = new AwsChunkedDecoder(6, false);
    expect(decoder.push(bytes('4\r\nabcd\r\n')).ok).toBe(true);
    expect(decoder.push(bytes('3\r\n'))).toEqual({
      ok: false,
      error: 'the body is longer than x-amz-decoded-content-length',
    });
  });

  it('gives what was put in, for any chunks cut anywhere, signed or not', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z\r\n0;]{1,20}$/), { maxLength: 5 }),
        fc.constantFrom('', SIGNATURE),
        fc.array(fc.nat(), { maxLength: 6 }),
        (chunks, extension, cuts) => {
          const whole = chunks.join('');
          expect(decode(coded(chunks, extension, ['x-amz-checksum-crc32:AAAAAA==']), whole.length, true, cuts)).toEqual(
            { text: whole, trailers: { 'x-amz-checksum-crc32': 'AAAAAA==' } },
          );
        },
      ),
    );
  });
  it('an empty body', () => expect(decode('0\r\n\r\n', 0)).toEqual({ text: '', trailers: {} }));

  for (const [what, text, length, trailers] of [
    ['ends early', '4\r\nab', 4, true],
    ['has no last chunk', '4\r\nabcd\r\n', 4, true],
    ['has no end after the last chunk', '4\r\nabcd\r\n0\r\n', 4, true],
    ['is longer than announced', coded(['abcd']), 3, true],
    ['is shorter than announced', coded(['abcd']), 5, true],
    ['goes on after its end', `${coded(['abcd'])}x`, 4, true],
    ['has a chunk longer than it says', '3\r\nabcd\r\n0\r\n\r\n', 3, true],
    ['has a bare LF', '4\nabcd\r\n0\r\n\r\n', 4, true],
    ['has a bare LF after data', '4\r\nabcd\n0\r\n\r\n', 4, true],
    ['has a size that is no number', 'x\r\nabcd\r\n0\r\n\r\n', 4, true],
    ['has a signed size', '+4\r\nabcd\r\n0\r\n\r\n', 4, true],
    ['has 0x', '0x4\r\nabcd\r\n0\r\n\r\n', 4, true],
    ['has a huge size', 'ffffffffffff\r\n', 4, true],
    ['has a larger size still', 'fffffffffffffffff\r\n', 4, true],
    ['has an unknown chunk extension', '4;a=b\r\nabcd\r\n0\r\n\r\n', 4, true],
    ['has a short chunk signature', '4;chunk-signature=ab\r\nabcd\r\n0\r\n\r\n', 4, true],
    ['has a trailer not announced', coded(['abcd'], '', ['x-amz-checksum-crc32:AA==']), 4, false],
    ['has a trailer that is no x-amz field', coded(['abcd'], '', ['authorization: x']), 4, true],
    ['has a folded trailer', coded(['abcd'], '', ['x-amz-a: b', ' c']), 4, true],
    [
      'has too many trailers',
      coded(
        ['abcd'],
        '',
        Array.from({ length: 20 }, (_, i) => `x-amz-${i}: b`),
      ),
      4,
      true,
    ],
    ['has an endless line', '0'.repeat(MAX_LINE_BYTES + 10), 4, true],
  ] as const) {
    it(`threat 13: a body that ${what} is an error`, () => {
      expect(decode(text, length, trailers).error).toBeTypeOf('string');
      expect(
        decode(
          text,
          length,
          trailers,
          Array.from({ length: text.length }, (_, i) => i),
        ).error,
      ).toBeTypeOf('string');
    });
  }
  it('a line may be so long and no longer', () => {
    const trailer = (length: number) => coded(['abcd'], '', [`x-amz-a:${'b'.repeat(length - 'x-amz-a:'.length)}`]);
    expect(decode(trailer(MAX_LINE_BYTES), 4)).toMatchObject({ text: 'abcd' });
    expect(decode(trailer(MAX_LINE_BYTES + 1), 4).error).toBe('a line is too long');
  });
  it('whatever is put in or left out, it gives what the grammar says, or an error', () => {
    const data = fc.array(fc.stringMatching(/^[a\r\n0;]{1,12}$/), { maxLength: 3 });
    const edit = fc.tuple(
      fc.nat(),
      fc.constantFrom('', '\r', '\n', '0', 'f', ';', ' ', '\r\n', '+', 'x', ':'),
      fc.nat(2),
    );
    fc.assert(
      fc.property(
        data,
        edit,
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 4 }),
        (chunks, [place, put, out], signed, cuts) => {
          const good = coded(chunks, signed ? SIGNATURE : '', ['x-amz-checksum-crc32:AAAAAA==']);
          const at = place % (good.length + 1);
          const text = good.slice(0, at) + put + good.slice(at + out);
          const length = chunks.join('').length;
          expect(decode(text, length, true, cuts).text ?? null).toBe(decodedByGrammar(text, length));
        },
      ),
      { seed: 13, numRuns: 1000 },
    );
  });
  it('an endless line is noticed while it comes', () => {
    const decoder = new AwsChunkedDecoder(4, true);
    let pushed = 0;
    while (decoder.push(bytes('0'.repeat(100))).ok) {
      pushed += 100;
      expect(pushed).toBeLessThan(MAX_LINE_BYTES + 200);
    }
  });
  it('as a stream, what came in one piece goes on in few, however small its chunks are', async () => {
    const text = coded(Array.from({ length: 1_000 }, () => 'x'));
    const decoder = new AwsChunkedDecoder(1_000, true);
    const pieces: string[] = [];
    for await (const piece of new Response(text).body?.pipeThrough(awsChunkedStream(decoder)) ?? [])
      pieces.push(new TextDecoder().decode(piece));
    expect(pieces.join('')).toBe('x'.repeat(1_000));
    expect(pieces.length).toBeLessThan(5);
  });

  it('as a stream, its last bytes wait until it has ended as it must: with a known length they would make it whole', async () => {
    const came = async (...chunks: string[]): Promise<string> => {
      const { readable, writable } = awsChunkedStream(new AwsChunkedDecoder(8, true));
      const writer = writable.getWriter();
      const writing = (async () => {
        for (const chunk of chunks) await writer.write(bytes(chunk));
        await writer.close();
      })().catch(() => undefined);
      let text = '';
      try {
        for await (const piece of readable) text += new TextDecoder().decode(piece);
      } catch {
        text += ' broke off';
      }
      await writing;
      return text;
    };
    expect(await came('4\r\nabcd\r\n', '4\r\nefgh\r\n', '0\r\n\r\n')).toBe('abcdefgh');
    expect(await came('4\r\nabcd\r\n', '4\r\nefgh\r\n', '0\r\ncanary\r\n')).toBe('abcd broke off');
    expect(await came('4\r\nabcd\r\n', '4\r\nefgh\r\n')).toBe('abcd broke off');
    expect(await came('4\r\nabcd\r\n4\r\nefgh\r\n')).toBe('abcd broke off');
  });

  it('as a stream, what is malformed errors it and quotes nothing', async () => {
    const run = (text: string) =>
      new Response(new Response(text).body?.pipeThrough(awsChunkedStream(new AwsChunkedDecoder(4, true)))).text();
    await expect(run(coded(['abcd']))).resolves.toBe('abcd');
    await expect(run('4\r\nabcd\r\ncanary\r\n')).rejects.toThrow(/^aws-chunked: a chunk header is malformed$/);
    await expect(run('4\r\nabcd\r\n')).rejects.toThrow('ends before');
  });
});

describe('a request whose body is aws-chunked', () => {
  const TRAILER = 'x-amz-checksum-crc32:NhCmhg==';
  const ask = (payload: string, coding: string | null, body: string) =>
    decodeAwsChunkedBody(
      {
        method: 'PUT',
        origin: 'https://s3.test',
        path: '/bucket/key' as CanonicalPath,
        query: '',
        fields: new Map([
          ['x-amz-content-sha256', payload],
          ['x-amz-decoded-content-length', '5'],
          ...(coding === null ? [] : [['content-encoding', coding] as const]),
        ]),
        body: bytes(body),
        bodyLength: body.length,
      },
      null,
    );

  it.each<[string, boolean]>([
    ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', false],
    ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', true],
    ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', true],
    ['STREAMING-ANYTHING-ELSE', false],
    ['constructor', false],
  ])('%s may have trailers: %s', async (payload, may) => {
    expect((await ask(payload, 'aws-chunked', coded(['hello'], '', [TRAILER]))).ok).toBe(may);
    const known = payload.startsWith('STREAMING-AWS4') || payload.startsWith('STREAMING-UNSIGNED');
    expect((await ask(payload, 'aws-chunked', coded(['hello']))).ok).toBe(known);
  });

  it.each([
    ['AWS-Chunked', undefined],
    ['aws-chunked, gzip', 'gzip'],
    ['gzip,AWS-CHUNKED', 'gzip'],
    [null, undefined],
  ])('coded %s loses that coding alone', async (coding, left) => {
    const decoded = await ask('STREAMING-UNSIGNED-PAYLOAD-TRAILER', coding, coded(['hello']));
    expect(decoded.ok && decoded.value.fields.get('content-encoding')).toBe(left);
  });

  describe('a part of an upload that was begun with a checksum, as boto3 sends it over TLS', () => {
    const gathers: Gather = async (body) => body;
    const part = async (query: string, payload: string, size: number, trailers: string[], gather = gathers) => {
      const text = 'x'.repeat(size);
      const body = new Blob([coded([text], '', trailers)]).stream() as ReadableStream<Uint8Array>;
      const decoded = await decodeAwsChunkedBody(
        {
          method: 'PUT',
          origin: 'https://s3.test',
          path: '/bucket/key' as CanonicalPath,
          query,
          fields: new Map([
            ['x-amz-content-sha256', payload],
            ['x-amz-decoded-content-length', String(size)],
            ['content-encoding', 'aws-chunked'],
          ]),
          body,
          bodyLength: null,
        },
        gather,
      );
      if (!decoded.ok) throw new Error(JSON.stringify(decoded.error));
      const { fields, body: whole, bodyLength } = decoded.value;
      expect(bodyLength).toBe(size);
      expect(await new Response(whole as Uint8Array<ArrayBuffer> | ReadableStream).text()).toBe(text);
      return fields;
    };
    const PART = 'partNumber=1&uploadId=u';
    const UNSIGNED = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

    it.each([
      'x-amz-checksum-crc32:AAAAAA==',
      'x-amz-checksum-crc32c:AAAAAA==',
      'x-amz-checksum-crc64nvme:AAAAAAAAAAA=',
      'X-Amz-Checksum-SHA256: AAAA',
    ])('brings the checksum of its trailer in a field: %s', async (trailer) => {
      const [name = '', value = ''] = trailer.split(/: ?/);
      for (const payload of [UNSIGNED, 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'])
        expect((await part(PART, payload, 5, [trailer])).get(name.toLowerCase())).toBe(value);
    });

    it('brings nothing else of its trailer', async () => {
      const fields = await part(PART, UNSIGNED, 5, ['x-amz-acl: public-read', 'x-amz-trailer-signature: 00']);
      expect([...fields.keys()]).toEqual([]);
    });

    it('is streamed when it is larger than what is gathered, as a whole object always is', async () => {
      const trailers = ['x-amz-checksum-crc32:AAAAAA=='];
      expect((await part(PART, UNSIGNED, 8 * 1024 * 1024, trailers)).size).toBe(1);
      expect((await part(PART, UNSIGNED, 8 * 1024 * 1024 + 1, trailers)).size).toBe(0);
      expect((await part('x-id=PutObject', UNSIGNED, 5, trailers)).size).toBe(0);
    });

    it('is streamed where there is no room for it', async () => {
      const trailers = ['x-amz-checksum-crc32:AAAAAA=='];
      expect((await part(PART, UNSIGNED, 5, trailers, async () => null)).size).toBe(0);
    });
  });

  it.each(['aws-chunked', 'gzip, AWS-Chunked'])('that only says so (%s) contradicts itself', async (coding) => {
    expect(await ask('UNSIGNED-PAYLOAD', coding, coded(['hello']))).toMatchObject({
      ok: false,
      error: { code: 'request_unsignable' },
    });
  });

  it('has sixteen trailers at most, known by their names in lower case', () => {
    const trailers = (count: number) => Array.from({ length: count }, (_, i) => `X-Amz-Meta-${i}: ${i}`);
    const sixteen = decode(coded(['hello'], '', trailers(16)), 5);
    expect(Object.keys(sixteen.trailers ?? {})).toEqual(Array.from({ length: 16 }, (_, i) => `x-amz-meta-${i}`));
    expect(decode(coded(['hello'], '', trailers(17)), 5).error).toBe('there are too many trailers');
  });
});
