import type { IncomingMessage } from 'node:http';
import { bodyOf, type Handler, json, sse } from './upstream.ts';

/**
 * OpenAI's wire format as its API reference documents it (chat completions, responses, models, embeddings), for the
 * calls that the shipped policy allows. The words are fixed; what is asked comes back in them.
 */

interface Asked {
  readonly model: string;
  readonly stream?: boolean;
  readonly messages?: readonly { readonly content: string }[];
  readonly input?: string;
}

/** Milliseconds between streamed events. */
export const EVENT_GAP_MS = 120;

const USAGE = { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 };
const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const asked = async (req: IncomingMessage): Promise<Asked> => JSON.parse((await bodyOf(req)).toString('utf8')) as Asked;

export const openaiRoutes: Readonly<Record<string, Handler>> = {
  'GET /v1/models': json({
    object: 'list',
    data: [{ id: 'gpt-4o-mini', object: 'model', created: 1_721_172_741, owned_by: 'system' }],
  }),

  'POST /v1/chat/completions': async (req, res, seen) => {
    const { model, stream, messages } = await asked(req);
    const answer = `You said: ${messages?.at(-1)?.content}`;
    const base = { id: 'chatcmpl-1', created: 1_735_689_600, model, system_fingerprint: 'fp_1' };
    if (stream !== true) {
      const choice = {
        index: 0,
        message: { role: 'assistant', content: answer, refusal: null },
        logprobs: null,
        finish_reason: 'stop',
      };
      return json({ ...base, object: 'chat.completion', choices: [choice], usage: USAGE })(req, res, seen);
    }
    const chunk = (delta: object, finish: string | null = null): string =>
      data({
        ...base,
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
      });
    const words = answer.split(/(?<= )/);
    return sse(
      [
        chunk({ role: 'assistant', content: '' }),
        ...words.map((content) => chunk({ content })),
        chunk({}, 'stop'),
        'data: [DONE]\n\n',
      ],
      EVENT_GAP_MS,
    )(req, res, seen);
  },

  'POST /v1/responses': async (req, res, seen) => {
    const { model, stream, input } = await asked(req);
    const text = `You said: ${input}`;
    const part = { type: 'output_text', text, annotations: [] };
    const item = { type: 'message', id: 'msg_1', status: 'completed', role: 'assistant', content: [part] };
    const response = {
      id: 'resp_1',
      object: 'response',
      created_at: 1_735_689_600,
      status: 'completed',
      error: null,
      model,
      output: [item],
      store: false,
    };
    if (stream !== true) return json(response)(req, res, seen);
    const place = { item_id: 'msg_1', output_index: 0, content_index: 0 };
    const begun = { ...response, status: 'in_progress', output: [] };
    const events: readonly { readonly type: string; readonly [key: string]: unknown }[] = [
      { type: 'response.created', response: begun },
      { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', content: [] } },
      { type: 'response.content_part.added', ...place, part: { ...part, text: '' } },
      ...text.split(/(?<= )/).map((delta) => ({ type: 'response.output_text.delta', ...place, delta })),
      { type: 'response.output_text.done', ...place, text },
      { type: 'response.content_part.done', ...place, part },
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response },
    ];
    return sse(
      events.map((event, i) => `event: ${event.type}\n${data({ ...event, sequence_number: i })}`),
      EVENT_GAP_MS,
    )(req, res, seen);
  },

  'POST /v1/embeddings': async (req, res, seen) => {
    const { model } = await asked(req);
    // The SDK asks for base64 unless told otherwise: little-endian float32.
    const embedding = Buffer.from(new Float32Array([0.5, -0.25]).buffer).toString('base64');
    return json({
      object: 'list',
      model,
      data: [{ object: 'embedding', index: 0, embedding }],
      usage: { prompt_tokens: 2, total_tokens: 2 },
    })(req, res, seen);
  },
};

/** How OpenAI says that the key is wrong. */
export const openaiUnauthorized: Handler = json(
  {
    error: {
      message: 'Incorrect API key provided.',
      type: 'invalid_request_error',
      param: null,
      code: 'invalid_api_key',
    },
  },
  401,
);
