import { bodyOf, type Handler, json, sse } from './upstream.ts';

/** Anthropic's wire format as its API reference documents it (messages whole and streamed, counting, models). */

/** Milliseconds between streamed events. */
export const EVENT_GAP_MS = 120;

const failure = (status: number, type: string, message: string): Handler =>
  json({ type: 'error', error: { type, message }, request_id: 'req_1' }, status);

/** Every request must name a version of the API; which one is the client's affair. */
const versioned =
  (handler: Handler): Handler =>
  (req, res, seen) =>
    (/^20\d\d-\d\d-\d\d$/.test(seen.headers['anthropic-version'] ?? '')
      ? handler
      : failure(400, 'invalid_request_error', 'anthropic-version: header is required'))(req, res, seen);

export const anthropicRoutes: Readonly<Record<string, Handler>> = {
  'GET /v1/models': versioned(
    json({
      data: [
        {
          type: 'model',
          id: 'claude-sonnet-5-5',
          display_name: 'Claude Sonnet 5.5',
          created_at: '2026-10-21T00:00:00Z',
        },
      ],
      has_more: false,
      first_id: 'claude-sonnet-5-5',
      last_id: 'claude-sonnet-5-5',
    }),
  ),

  'POST /v1/messages/count_tokens': versioned(json({ input_tokens: 8 })),

  'POST /v1/messages': versioned(async (req, res, seen) => {
    const asked = JSON.parse((await bodyOf(req)).toString('utf8')) as {
      model: string;
      stream?: boolean;
      messages: { content: string }[];
    };
    const text = `You said: ${asked.messages.at(-1)?.content}`;
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model: asked.model, stop_sequence: null };
    if (asked.stream !== true) {
      return json({
        ...message,
        content: [{ type: 'text', text }],
        stop_reason: 'end_turn',
        usage: { input_tokens: 8, output_tokens: 4 },
      })(req, res, seen);
    }
    const events: readonly { readonly type: string; readonly [key: string]: unknown }[] = [
      {
        type: 'message_start',
        message: { ...message, content: [], stop_reason: null, usage: { input_tokens: 8, output_tokens: 1 } },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'ping' },
      ...text
        .split(/(?<= )/)
        .map((word) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: word } })),
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 4 } },
      { type: 'message_stop' },
    ];
    return sse(
      events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
      EVENT_GAP_MS,
    )(req, res, seen);
  }),
};

/** How Anthropic says that the key is wrong. */
export const anthropicUnauthorized: Handler = failure(401, 'authentication_error', 'invalid x-api-key');
