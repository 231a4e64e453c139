/** Writes `src/openapi.generated.json` from the schemas that the Worker validates with: the document cannot drift from the code. */
import { readFileSync, writeFileSync } from 'node:fs';
import * as z from 'zod';
import * as p from '../src/protocol.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const schemas = {
  MintRequest: p.MintRequest,
  MintResponse: p.MintResponse,
  RevokeRequest: p.RevokeRequest,
  RevokeResponse: p.RevokeResponse,
  CapabilitiesResponse: p.CapabilitiesResponse,
  AuditRow: p.AuditRowJson,
  AuditListResponse: p.AuditListResponse,
  AuditVerifyResponse: p.AuditVerifyResponse,
  SessionStartRequest: p.SessionStartRequest,
  SessionReportRequest: p.SessionReportRequest,
  SessionReportResponse: p.SessionReportResponse,
  SessionEndRequest: p.SessionEndRequest,
  SessionReceipt: p.SessionReceipt,
  Session: p.SessionJson,
  SessionDetail: p.SessionDetail,
  SessionListResponse: p.SessionListResponse,
  ApprovalStatus: p.ApprovalStatus,
  Approval: p.ApprovalJson,
  ApprovalDetail: p.ApprovalDetail,
  ApprovalListResponse: p.ApprovalListResponse,
  ApproveRequest: p.ApproveRequest,
  DenyRequest: p.DenyRequest,
  ApprovalEvent: p.ApprovalEvent,
  SignInRequest: p.SignInRequest,
  ConsoleSession: p.ConsoleSession,
  SignInLink: p.SignInLink,
  PoliciesResponse: p.PoliciesResponse,
  ExplainRequest: p.ExplainRequest,
  ExplainResponse: p.ExplainResponse,
  StopRequest: p.StopRequest,
  StopScope: p.StopScope,
  StopPreview: p.StopPreview,
  StopResponse: p.StopResponse,
  StopListResponse: p.StopListResponse,
  ScreenReport: p.ScreenReport,
  SignalsResponse: p.SignalsResponse,
  Health: p.Health,
  Problem: p.Problem,
};
const schemaOf = (schema: z.core.$ZodType): Record<string, unknown> => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' }) as Record<
    string,
    unknown
  >;
  return rest;
};
const ref = (name: keyof typeof schemas) => ({ $ref: `#/components/schemas/${name}` });
const json = (name: keyof typeof schemas) => ({ content: { 'application/json': { schema: ref(name) } } });
const problem = (description: string) => ({ description, ...json('Problem') });
const operator = [{ operatorKey: [] }, { cloudflareAccess: [] }];
const capability = [{ capabilityToken: [] }];
const refusals = {
  400: problem('The request is not valid'),
  401: problem('No valid operator key'),
  403: problem('The role or the grant is missing'),
  503: problem('A store is down or the edge is not configured'),
};

const simple = (
  operationId: string,
  summary: string,
  body: keyof typeof schemas | null,
  answer: keyof typeof schemas | null,
) => ({
  operationId,
  summary,
  security: operator,
  ...(body === null ? {} : { requestBody: { required: true, ...json(body) } }),
  responses:
    answer === null
      ? { 204: { description: 'Done' }, ...refusals }
      : { 200: { description: 'As it stands', ...json(answer) }, ...refusals },
});
const orUnknown = (description: string, operation: ReturnType<typeof simple>) => ({
  ...operation,
  responses: { ...operation.responses, 404: problem(description) },
});
const sessionQuery = (schemaOf(p.SessionQuery).properties ?? {}) as Record<string, Record<string, unknown>>;
const sessionId = [{ name: 'id', in: 'path', required: true, schema: schemaOf(p.RunSessionId) }];
const ofSession = (
  operationId: string,
  summary: string,
  body: keyof typeof schemas | null,
  answer: keyof typeof schemas,
) => ({
  operationId,
  summary,
  security: operator,
  parameters: sessionId,
  ...(body === null ? {} : { requestBody: { required: true, ...json(body) } }),
  responses: {
    200: { description: 'As it stands', ...json(answer) },
    ...refusals,
    404: problem('No such session'),
    // What an ended one says to those who report on it.
    ...(body === null ? {} : { 409: problem('The session has ended') }),
  },
});
const approvalQuery = (schemaOf(p.ApprovalQuery).properties ?? {}) as Record<string, Record<string, unknown>>;
const approvalId = [{ name: 'id', in: 'path', required: true, schema: schemaOf(p.ApprovalId) }];
const decision = (operationId: string, summary: string, body: keyof typeof schemas) => ({
  operationId,
  summary,
  security: operator,
  parameters: approvalId,
  requestBody: { required: false, ...json(body) },
  responses: {
    200: { description: 'As it stands; the same decision again changes nothing', ...json('Approval') },
    ...refusals,
    403: problem('The role is missing, the policy names other reviewers, the requester itself, or a spent link'),
    404: problem('No such approval'),
    409: problem('Decided otherwise, expired, used, or void with its token'),
  },
});
const query = (schemaOf(p.AuditQuery).properties ?? {}) as Record<string, Record<string, unknown>>;
const proxyOperation = (method: string) => ({
  operationId: `proxy_${method}`,
  summary: 'Call a service through its policy; the credential is put in on the way',
  security: capability,
  parameters: [
    { name: 'service', in: 'path', required: true, schema: { type: 'string' } },
    {
      name: 'path',
      in: 'path',
      required: true,
      schema: { type: 'string' },
      description: 'The path at the service, as its own documentation has it; may hold slashes',
    },
  ],
  responses: {
    default: {
      description:
        "The service's answer, or a refusal in the service's own error shape (RFC 9457 members unless it has another)",
      headers: { 'Proxy-Status': { description: 'RFC 9209: who spoke', schema: { type: 'string' } } },
    },
  },
});

const document = {
  openapi: '3.1.0',
  info: {
    title: 'Keywarden edge',
    version,
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    description: 'A credential proxy: an agent uses an API with a capability token and never holds its key.',
  },
  paths: {
    '/v1/tokens': {
      post: {
        operationId: 'mintToken',
        summary: 'Mint a capability token',
        security: operator,
        requestBody: { required: true, ...json('MintRequest') },
        responses: {
          200: { description: 'Minted', ...json('MintResponse') },
          ...refusals,
          409: problem('The session was revoked, or what the token would reach is stopped'),
        },
      },
    },
    '/v1/tokens/revoke': {
      post: {
        operationId: 'revokeTokens',
        summary: 'Revoke by token, session or agent; acts on the next call',
        security: operator,
        requestBody: { required: true, ...json('RevokeRequest') },
        responses: {
          200: { description: 'Revoked', ...json('RevokeResponse') },
          ...refusals,
          404: problem('No such token'),
        },
      },
    },
    '/v1/capabilities': {
      get: {
        operationId: 'listCapabilities',
        summary: 'What this token allows, with the limits left',
        security: capability,
        responses: {
          200: { description: 'The capabilities', ...json('CapabilitiesResponse') },
          401: problem('No valid token'),
          503: refusals[503],
        },
      },
    },
    '/v1/approvals': {
      get: {
        operationId: 'listApprovals',
        summary: 'Approvals, newest first; roles approve or audit',
        security: operator,
        parameters: Object.entries(approvalQuery).map(([name, schema]) => ({
          name,
          in: 'query',
          required: false,
          schema,
        })),
        responses: { 200: { description: 'A page of approvals', ...json('ApprovalListResponse') }, ...refusals },
      },
    },
    '/v1/approvals/live': {
      get: {
        operationId: 'watchApprovals',
        summary: 'A WebSocket of JSON texts: hello, pending, decided; "ping" is answered with "pong"',
        security: operator,
        responses: {
          101: { description: 'Then texts of this shape', ...json('ApprovalEvent') },
          ...refusals,
          426: problem('No WebSocket was asked for'),
        },
      },
    },
    '/v1/approvals/{id}': {
      get: {
        operationId: 'readApproval',
        summary: 'What to decide by; for the agent that asked, by its own token, the state alone',
        security: [...operator, ...capability],
        parameters: approvalId,
        responses: {
          200: {
            description: 'By who asks',
            content: { 'application/json': { schema: { anyOf: [ref('ApprovalDetail'), ref('ApprovalStatus')] } } },
          },
          ...refusals,
          404: problem('No such approval, or not yours'),
        },
      },
    },
    '/v1/approvals/{id}/approve': { post: decision('approve', 'Say yes, once or to calls alike', 'ApproveRequest') },
    '/v1/approvals/{id}/deny': { post: decision('deny', 'Say no; it holds for the same call', 'DenyRequest') },
    '/v1/audit': {
      get: {
        operationId: 'listAudit',
        summary: 'Audit rows, newest first',
        security: operator,
        parameters: Object.entries(query).map(([name, schema]) => ({ name, in: 'query', required: false, schema })),
        responses: { 200: { description: 'A page of rows', ...json('AuditListResponse') }, ...refusals },
      },
    },
    '/v1/audit/verify': {
      get: {
        operationId: 'verifyAudit',
        summary: "Check every chain against the ledgers' heads",
        security: operator,
        responses: { 200: { description: 'What was checked and found', ...json('AuditVerifyResponse') }, ...refusals },
      },
    },
    '/v1/audit/export': {
      get: {
        operationId: 'exportAudit',
        summary: 'All rows as NDJSON, then a signed checkpoint',
        security: operator,
        responses: {
          200: { description: 'One row a line', content: { 'application/x-ndjson': { schema: { type: 'string' } } } },
          ...refusals,
        },
      },
    },
    '/v1/sessions': {
      get: {
        operationId: 'listSessions',
        summary: 'Sandboxed sessions, newest first',
        security: operator,
        parameters: Object.entries(sessionQuery).map(([name, schema]) => ({
          name,
          in: 'query',
          required: false,
          schema,
        })),
        responses: { 200: { description: 'A page of sessions', ...json('SessionListResponse') }, ...refusals },
      },
      post: {
        operationId: 'startSession',
        summary: 'Announce a session, before it begins',
        security: operator,
        requestBody: { required: true, ...json('SessionStartRequest') },
        responses: {
          200: { description: 'The same was announced before', ...json('Session') },
          201: { description: 'Announced', ...json('Session') },
          ...refusals,
          409: problem('The id is taken or was revoked'),
        },
      },
    },
    '/v1/sessions/{id}': {
      get: ofSession('getSession', 'One session, with its counters and its receipt', null, 'SessionDetail'),
    },
    '/v1/sessions/{id}/report': {
      post: ofSession(
        'reportSession',
        'Counters so far; the answer says whether to stop',
        'SessionReportRequest',
        'SessionReportResponse',
      ),
    },
    '/v1/sessions/{id}/end': {
      post: ofSession('endSession', 'The signed receipt; revokes the tokens', 'SessionEndRequest', 'Session'),
    },
    '/v1/sessions/{id}/stop': {
      post: ofSession('stopSession', 'Revoke the tokens and ask the runner to end it', null, 'Session'),
    },
    '/v1/console/session': {
      get: {
        ...simple('readConsoleSession', 'Who is signed in; nobody is an answer too', null, 'ConsoleSession'),
        security: [...operator, {}],
      },
      post: {
        ...simple(
          'signIn',
          'An operator key or a one-time link for a session cookie',
          'SignInRequest',
          'ConsoleSession',
        ),
        security: [],
      },
      delete: { ...simple('signOut', 'End the session', null, null), security: [] },
    },
    '/v1/console/links': { post: simple('makeSignInLink', 'A one-time sign-in link', null, 'SignInLink') },
    '/v1/policies': { get: simple('listPolicies', 'The policies in force', null, 'PoliciesResponse') },
    '/v1/policies/explain': {
      post: simple('explain', 'Would this be allowed, and why?', 'ExplainRequest', 'ExplainResponse'),
    },
    '/v1/stops': {
      get: simple('listStops', 'What stands stopped', null, 'StopListResponse'),
      post: orUnknown(
        'No such service',
        simple('stop', 'Stop a service or everything; acts on the next call', 'StopRequest', 'StopResponse'),
      ),
    },
    '/v1/stops/preview': {
      get: {
        ...simple('previewStop', 'What a stop would hit now', null, 'StopPreview'),
        parameters: ['scope', 'service', 'agent', 'session', 'token_id'].map((name) => ({
          name,
          in: 'query',
          required: name === 'scope',
          schema: { type: 'string' },
        })),
      },
    },
    '/v1/stops/lift': {
      post: orUnknown('No such stop stands', simple('liftStop', 'Let tokens be given again', 'StopScope', null)),
    },
    '/v1/signals': {
      get: {
        ...simple('readSignals', 'Figures over time, thresholds and alerts', null, 'SignalsResponse'),
        parameters: Object.entries(schemaOf(p.SignalsQuery).properties ?? {}).map(([name, schema]) => ({
          name,
          in: 'query',
          required: false,
          schema,
        })),
      },
    },
    '/v1/signals/screen': {
      post: orUnknown(
        'No such session',
        simple('reportScreen', 'An alert of a session’s screen', 'ScreenReport', null),
      ),
    },
    '/metrics': {
      get: {
        operationId: 'metrics',
        summary: 'The signals as Prometheus text',
        security: operator,
        responses: {
          200: { description: 'Version 0.0.4', content: { 'text/plain': { schema: { type: 'string' } } } },
          ...refusals,
        },
      },
    },
    '/.well-known/jwks.json': {
      get: {
        operationId: 'jwks',
        summary: 'The public keys of capability tokens (RFC 7517)',
        responses: {
          200: { description: 'A JWK set', content: { 'application/json': { schema: { type: 'object' } } } },
          503: refusals[503],
        },
      },
    },
    '/healthz': {
      get: {
        operationId: 'health',
        summary: 'Whether the edge serves, and what it lacks',
        responses: {
          200: { description: 'It serves', ...json('Health') },
          503: { description: 'It refuses to serve', ...json('Health') },
        },
      },
    },
    '/openapi.json': {
      get: {
        operationId: 'openapi',
        summary: 'This document',
        responses: {
          200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } },
        },
      },
    },
    '/proxy/{service}/{path}': Object.fromEntries(
      ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'].map((m) => [m, proxyOperation(m)]),
    ),
  },
  components: {
    schemas: Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, schemaOf(schema)])),
    securitySchemes: {
      operatorKey: { type: 'http', scheme: 'bearer', description: 'An operator key' },
      cloudflareAccess: {
        type: 'apiKey',
        in: 'header',
        name: 'Cf-Access-Jwt-Assertion',
        description: 'A Cloudflare Access JWT',
      },
      capabilityToken: {
        type: 'http',
        scheme: 'bearer',
        bearerFormat: 'at+jwt',
        description: "A capability token; also accepted wherever the service's SDK puts the API key",
      },
    },
  },
};
writeFileSync(new URL('../src/openapi.generated.json', import.meta.url), `${JSON.stringify(document, null, 1)}\n`);
