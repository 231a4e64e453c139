import { describe, expect, it } from 'vitest';
import { fault } from '../../src/fault.ts';
import { ERROR_SHAPES, type ErrorShape } from '../../src/policy/ruled.ts';
import { problemOf } from '../../src/problem/problem.ts';
import { problemResponse } from '../../src/problem/response.ts';
import { shapeOf } from '../../src/problem/shapes.ts';

/** XML, and the plain text that git shows, are their own. */
const JSON_SHAPES = ERROR_SHAPES.filter((shape) => !['s3', 'aws_query', 'git'].includes(shape));
const context = (shape: ErrorShape) => ({
  requestId: '0192f0c1-0000-7000-8000-000000000000',
  shape,
  limits: [],
  method: 'GET',
});

describe("a denial in a service's own shape", () => {
  it.each(JSON_SHAPES)('%s: is application/json and carries our message', async (shape) => {
    const response = problemResponse({ kind: 'capability_missing', wouldAllow: ['stripe:refund'] }, context(shape));
    expect(response.headers.get('content-type')).toBe('application/json');
    const body = (await response.json()) as Record<string, unknown>;
    expect(JSON.stringify(body)).toContain('needs a capability that the token does not hold: stripe:refund');
  });

  it('problem: has the RFC 9457 members, a message and an error object', async () => {
    const response = problemResponse({ kind: 'operation_unknown' }, context('problem'));
    expect(response.status).toBe(403);
    const body = (await response.json()) as Record<string, unknown>;
    expect(body).toMatchObject({
      type: 'urn:keywarden:problem:operation_not_allowed',
      status: 403,
      title: 'Not allowed',
      error: { type: 'permission_error', code: 'operation_not_allowed' },
    });
    expect(body['detail']).toBe(body['message']);
    expect(body['instance']).toBe('urn:uuid:0192f0c1-0000-7000-8000-000000000000');
  });

  it('slack: answers 200 with ok false, since its SDK retries other statuses for half an hour; 429 stays 429', () => {
    expect(problemResponse({ kind: 'operation_unknown' }, context('slack')).status).toBe(200);
    expect(
      problemResponse({ kind: 'rate_limited', limit: 'slack:post', retryAfterSeconds: 7 }, context('slack')).status,
    ).toBe(429);
  });

  it("twilio: is no error of Twilio's newer kind, of which its SDK shows the title alone", async () => {
    const body = (await problemResponse({ kind: 'operation_unknown' }, context('twilio')).json()) as {
      [member: string]: unknown;
    };
    // As twilio-node 6 tells that kind.
    const isNewer =
      ['type', 'title'].every((name) => typeof body[name] === 'string') && typeof body['code'] === 'number';
    expect(isNewer).toBe(false);
    expect(body).toMatchObject({ code: 20403, status: 403, message: expect.stringContaining('No capability allows') });
  });

  it.each([
    [{ kind: 'token_missing' }, 'authentication error'],
    [{ kind: 'operation_unknown' }, 'forbidden'],
    [{ kind: 'rate_limited', limit: 'linear:read', retryAfterSeconds: 7 }, 'ratelimited'],
    [{ kind: 'query_refused', why: 'x' }, 'invalid input'],
    [fault('upstream_unreachable', 'x'), 'internal error'],
  ] as const)("graphql: says of %o what it is in Linear's words, and our message once", async (reason, type) => {
    const body = (await problemResponse(reason, context('graphql')).json()) as { errors: { message: string }[] };
    expect(body.errors).toMatchObject([{ message: problemOf(reason).message, extensions: { type } }]);
    // Linear's SDK puts it beside the message, as a text.
    expect(body).not.toHaveProperty('error');
  });

  it("huggingface: the error is a text, where an object would be shown as '[object Object]'", async () => {
    const body = (await problemResponse({ kind: 'operation_unknown' }, context('huggingface')).json()) as {
      message: string;
      error: unknown;
    };
    expect(body.error).toBe(body.message);
  });

  it('elasticsearch: has our message as the root cause, which its clients show beside the type', async () => {
    const body = await problemResponse({ kind: 'operation_unknown' }, context('elasticsearch')).json();
    const cause = { type: 'security_exception', reason: expect.stringContaining('No capability allows') };
    expect(body).toMatchObject({ status: 403, error: { ...cause, root_cause: [cause] } });
  });

  it.each([
    [{ kind: 'token_missing' }, 'UNAUTHENTICATED'],
    [{ kind: 'operation_unknown' }, 'PERMISSION_DENIED'],
    [{ kind: 'rate_limited', limit: 'gemini:generate', retryAfterSeconds: 7 }, 'RESOURCE_EXHAUSTED'],
  ] as const)("google: %o has no other status than Google's word, which google-genai reads", async (reason, status) => {
    const body = (await problemResponse(reason, context('google')).json()) as {
      status?: unknown;
      error: { status: string };
    };
    // As its APIError does: what stands at the top goes before what stands within.
    expect(body.status ?? body.error.status).toBe(status);
  });

  it.each(['s3', 'aws_query'] as const)('%s: is XML in which nothing of ours can open a tag', (shape) => {
    const p = { ...problemOf({ kind: 'operation_unknown' }), message: '<x>&"\'' };
    const { body, contentType } = shapeOf(shape, p, 'urn:uuid:1');
    expect(contentType).toBe('application/xml');
    expect(body).toContain('<Message>&#60;x&#62;&#38;&#34;&#39;</Message>');
    expect(body).not.toContain('<x>');
  });

  // SNS, STS and IAM take the one, EC2 the other (botocore's QueryParser and EC2QueryParser, the JS and Go SDKs alike).
  it.each([
    [{ kind: 'token_missing' }, 'InvalidClientTokenId'],
    [{ kind: 'operation_unknown' }, 'AccessDenied'],
    [{ kind: 'rate_limited', limit: 'aws:sns:publish', retryAfterSeconds: 7 }, 'Throttling'],
    [{ kind: 'query_refused', why: 'x' }, 'ValidationError'],
    [fault('upstream_unreachable', 'x'), 'ServiceUnavailable'],
  ] as const)("aws_query: %o stands where AWS's SDKs look for an error, by AWS's word", async (reason, code) => {
    const response = problemResponse(reason, context('aws_query'));
    const body = await response.text();
    const error = `<Error><Type>${response.status < 500 ? 'Sender' : 'Receiver'}</Type><Code>${code}</Code><Message>`;
    expect(body).toContain(`<ErrorResponse>${error}`);
    expect(body).toContain(`</Error><Errors>${error}`);
    expect(body).toContain('<RequestId>urn:uuid:0192f0c1-0000-7000-8000-000000000000</RequestId>');
    expect(response.headers.get('x-amzn-requestid')).toBe('0192f0c1-0000-7000-8000-000000000000');
  });

  it('git: is plain text, which git shows, and challenges for Basic first', async () => {
    const response = problemResponse({ kind: 'token_missing' }, context('git'));
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Basic realm="keywarden"/);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
  });

  it.each(ERROR_SHAPES)('%s: the status line names the problem: pip, twine and urllib show nothing else', (shape) => {
    const response = problemResponse({ kind: 'capability_missing', wouldAllow: ['pypi:install'] }, context(shape));
    expect(response.statusText).toBe(response.status === 200 ? '' : 'Capability missing');
  });

  it('HEAD gets no body', async () => {
    expect(await problemResponse({ kind: 'operation_unknown' }, { ...context('problem'), method: 'HEAD' }).text()).toBe(
      '',
    );
  });
});

describe('what is said outside', () => {
  it('an unreachable upstream may have acted, and whoever cannot send it again harmlessly hears so', () => {
    const words = (retryable: boolean): string => problemOf(fault('upstream_unreachable', 'x', retryable)).message;
    expect(words(false)).toMatch(/Whether it acted on the request is unknown\.$/);
    expect(words(true)).not.toContain('acted');
  });
  it('a refused redirect is a matter of policy, not of a broken answer (RFC 9209 §2.3)', () => {
    const response = problemResponse(fault('upstream_redirect_refused', 'x'), context('problem'));
    expect(response.headers.get('proxy-status')).toBe(
      'keywarden; error=http_request_denied; details="upstream_redirect_refused"',
    );
  });
  it('all failures of a presented token look alike', async () => {
    const kinds = [
      { kind: 'token_malformed', why: 'x' },
      { kind: 'token_untrusted', why: 'bad_signature' },
      { kind: 'token_wrong_type' },
      { kind: 'token_wrong_issuer' },
      { kind: 'token_wrong_audience' },
      { kind: 'token_expired' },
      { kind: 'token_not_yet_valid' },
      { kind: 'token_lifetime_exceeded' },
      { kind: 'token_revoked', by: 'agent' },
      { kind: 'token_ambiguous', places: ['authorization', 'x-api-key'] },
    ] as const;
    const bodies = await Promise.all(
      kinds.map(async (k) => {
        const r = problemResponse(k, context('problem'));
        return `${r.status} ${[...r.headers].join('|')} ${await r.text()}`;
      }),
    );
    expect(new Set(bodies).size).toBe(1);
    expect(bodies[0]).toContain('Bearer realm="keywarden", error="invalid_token"');
  });

  it("a fault says what happened in our words, never in the upstream's", () => {
    const p = problemOf(fault('upstream_unreachable', 'https://user:secret@host said boo'));
    expect(JSON.stringify(p)).not.toContain('boo');
    expect(p.status).toBe(502);
  });

  it('too many requests say when to come back', () => {
    const response = problemResponse(
      { kind: 'rate_limited', limit: 'stripe:refund', retryAfterSeconds: 7 },
      {
        ...context('stripe'),
        limits: [{ name: 'stripe:refund', quota: 10, windowSeconds: 60, remaining: 0, resetSeconds: 18 }],
      },
    );
    expect(response.headers.get('retry-after')).toBe('7');
    expect(response.headers.get('ratelimit')).toBe('"stripe:refund";r=0;t=18');
    expect(response.headers.get('ratelimit-policy')).toBe('"stripe:refund";q=10;w=60');
    expect(response.headers.get('proxy-status')).toBe('keywarden; error=http_request_denied; details="rate_limited"');
  });
});
