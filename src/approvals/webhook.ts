import { ok, type Result } from '../lib/result.ts';
import { postSigned, type Receiver, receiverOf } from '../webhook/signed.ts';
import type { StoredApproval } from './contract.ts';
import { linkOf } from './link.ts';

/** Where reviewers are told, and by what the messages are signed. */
export interface WebhookSettings extends Receiver {
  /** The edge's own address, from its configuration: a Host field is the agent's to choose. */
  readonly publicUrl: string;
}

/**
 * @returns Null when none is configured; or what is wrong with what is.
 * @param dev  Whether `http://` on loopback is tolerated.
 */
export function webhookSettings(
  env: {
    readonly KEYWARDEN_APPROVAL_WEBHOOK_URL?: string;
    readonly KEYWARDEN_WEBHOOK_SECRET?: string;
    readonly KEYWARDEN_ISSUER: string;
  },
  dev: boolean,
): Result<WebhookSettings | null, string> {
  const { KEYWARDEN_APPROVAL_WEBHOOK_URL: url, KEYWARDEN_WEBHOOK_SECRET: secret, KEYWARDEN_ISSUER: publicUrl } = env;
  if (!url) return ok(null);
  const receiver = receiverOf('KEYWARDEN_APPROVAL_WEBHOOK_URL', url, secret, dev);
  return receiver.ok ? ok({ ...receiver.value, publicUrl }) : receiver;
}

/** Tells reviewers of one question. @returns Whether the receiver took it. */
export const sendMessage = (
  settings: WebhookSettings,
  stored: StoredApproval,
  nonce: string,
  now: number,
): Promise<boolean> => postSigned(settings, messageOf(stored, linkTo(settings, stored, nonce)), now);

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
