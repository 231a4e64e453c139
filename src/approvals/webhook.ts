import type { StoredApproval } from './contract.ts';
import { linkOf, signatureOf } from './link.ts';

/** Where reviewers are told, and by what the messages are signed. */
export interface WebhookSettings {
  readonly url: string;
  readonly secret: string;
  /** The edge's own address, from its configuration: a Host field is the agent's to choose. */
  readonly publicUrl: string;
}

const TIMEOUT_MS = 10_000;

/**
 * @returns Null when none is configured, or when what is configured is not sound; then `problem` says why.
 * @param dev  Whether `http://` on loopback is tolerated.
 */
export function webhookSettings(
  env: {
    readonly KEYWARDEN_APPROVAL_WEBHOOK_URL?: string;
    readonly KEYWARDEN_WEBHOOK_SECRET?: string;
    readonly KEYWARDEN_ISSUER: string;
  },
  dev: boolean,
): { readonly settings: WebhookSettings | null; readonly problem: string | null } {
  const { KEYWARDEN_APPROVAL_WEBHOOK_URL: url, KEYWARDEN_WEBHOOK_SECRET: secret, KEYWARDEN_ISSUER: publicUrl } = env;
  if (!url) return { settings: null, problem: null };
  const parsed = URL.parse(url);
  const loopback = parsed?.protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(parsed.hostname);
  if (parsed === null || !(parsed.protocol === 'https:' || (dev && loopback)))
    return { settings: null, problem: 'KEYWARDEN_APPROVAL_WEBHOOK_URL is no https URL' };
  if (!secret || secret.length < 32)
    return { settings: null, problem: 'KEYWARDEN_WEBHOOK_SECRET is missing or shorter than 32 characters' };
  return { settings: { url, secret, publicUrl }, problem: null };
}

/**
 * Sends one message. This is one of the two places with a `fetch` (see test/architecture.test.ts): it goes to an address of
 * the operators' own configuration, carries no credential of a service, and its answer is not read.
 */
export async function sendMessage(
  settings: WebhookSettings,
  stored: StoredApproval,
  nonce: string,
  now: number,
): Promise<boolean> {
  const body = JSON.stringify(messageOf(stored, linkTo(settings, stored, nonce)));
  const timestamp = String(Math.floor(now / 1000));
  try {
    const response = await fetch(settings.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'keywarden-timestamp': timestamp,
        'keywarden-signature': signatureOf(settings.secret, timestamp, body),
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 300;
  } catch {
    return false;
  }
}

function linkTo({ publicUrl, secret }: WebhookSettings, { approval }: StoredApproval, nonce: string): string {
  const link = linkOf(secret, approval.id, nonce, approval.expiresAt);
  return `${publicUrl.replace(/\/$/, '')}/console/#/approvals/${approval.id}?link=${link}`;
}

/** Slack's incoming-webhook form, with plain members beside it for other receivers. No body, no header, no query. */
export function messageOf({ approval, shown }: StoredApproval, link: string): object {
  const path = shown.url.replace(/\?.*$/s, '');
  const who = approval.session === null ? approval.agent : `${approval.agent} (session ${approval.session})`;
  const people = approval.count === 2 ? 'Two people must agree.' : 'One person must agree.';
  const until = new Date(approval.expiresAt).toISOString();
  const words = `${who} asks: ${shown.capability_title}\n${shown.method} ${path}\n${people} It expires at ${until}.`;
  return {
    text: slack(`${who} asks: ${shown.capability_title}`),
    blocks: [
      { type: 'section', text: { type: 'mrkdwn', text: slack(words) } },
      {
        type: 'actions',
        elements: [{ type: 'button', text: { type: 'plain_text', text: 'Look and decide' }, url: link }],
      },
    ],
    keywarden: {
      type: 'approval.requested',
      approval_id: approval.id,
      agent_id: approval.agent,
      session_id: approval.session,
      capability: approval.capability,
      method: shown.method,
      url: path,
      expires_at: until,
      link,
    },
  };
}

/** Slack's own escapes, and none of its markup from what an agent wrote (a link's text may lie about where it leads). */
const slack = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[*_~`|]/g, (mark) => `\u200b${mark}`)
    .slice(0, 2900);
