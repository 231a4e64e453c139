import { describe, expect, it } from 'vitest';
import type { Call } from '../../src/pipeline/call.ts';
import { readBody } from '../../src/pipeline/read-body.ts';

const MOST = 8;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A body in these chunks, or one that breaks off after them; and what was done with it. */
function bodyOf(chunks: readonly string[], breaks = false) {
  const seen = { pulled: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[seen.pulled++];
        if (chunk !== undefined) controller.enqueue(new TextEncoder().encode(chunk));
        else if (breaks) controller.error(new Error('reset'));
        else controller.close();
      },
      cancel: () => void (seen.cancelled = true),
    },
    { highWaterMark: 0 },
  );
  return { body, seen };
}
const read = (body: ReadableStream<Uint8Array> | null, fields: Record<string, string> = {}) =>
  readBody(
    {
      request: { body },
      fields: new Map(Object.entries({ 'content-type': 'application/json', ...fields })),
    } as never as Call,
    MOST,
  );

describe('a body that a rule needs', () => {
  it.each([
    ['in one chunk', ['[1,2,3]']],
    ['in several, in their order', ['[1', ',2', ',3]']],
    ['as long as the bound', ['[1,2,3', ' ]']],
  ])('%s is read whole, to the byte', async (_, chunks) => {
    const whole = await read(bodyOf(chunks).body);
    expect(whole.ok && text(whole.value.bytes)).toBe(chunks.join(''));
    expect(whole.ok && whole.value.parsed).toEqual({ ok: true, value: [1, 2, 3] });
  });

  it('that is none is empty', async () => {
    const none = await read(null);
    expect(none.ok && none.value.bytes.byteLength).toBe(0);
  });

  it('of which too much is announced is not touched', async () => {
    const { body, seen } = bodyOf(['[1]']);
    expect(await read(body, { 'content-length': String(MOST + 1) })).toEqual({
      ok: false,
      error: { kind: 'body_refused', why: 'too_large' },
    });
    expect(seen).toEqual({ pulled: 0, cancelled: false });
  });

  it.each([
    ['at once', ['[1,2,3,4]'], {}],
    ['bit by bit', ['[1', ',2', ',3', ',4', ']'], {}],
    ['against its announcement', ['[1,2,3,4]'], { 'content-length': '3' }],
  ])(
    'and comes %s too large is refused, never judged by its first part, and the rest is left to be drained',
    async (_, chunks, fields) => {
      const { body, seen } = bodyOf([...chunks, 'never read']);
      expect(await read(body, fields)).toEqual({ ok: false, error: { kind: 'body_refused', why: 'too_large' } });
      expect(seen).toEqual({ pulled: chunks.length, cancelled: false });
    },
  );

  it('that breaks off is incomplete, and no fault', async () => {
    expect(await read(bodyOf(['[1]'], true).body)).toEqual({
      ok: false,
      error: { kind: 'body_refused', why: 'incomplete' },
    });
  });
});

it('a body that says that it is as long as the bound is read; one that says more is refused unread', async () => {
  const { body } = bodyOf(['[1,2,3]', ' ']);
  expect(await read(body, { 'content-length': '8' })).toMatchObject({ ok: true });
  const longer = bodyOf(['[1,2,3]']);
  expect(await read(longer.body, { 'content-length': '9' })).toEqual({
    ok: false,
    error: { kind: 'body_refused', why: 'too_large' },
  });
  expect(longer.seen.pulled).toBe(0);
});

it('a body that would change the method is refused, whatever a rule would say', async () => {
  const { body } = bodyOf(['_method=1']);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  expect(await readBody({ request: { body }, fields: new Map(Object.entries(form)) } as never as Call, 100)).toEqual({
    ok: false,
    error: { kind: 'body_refused', why: 'method_override' },
  });
});
