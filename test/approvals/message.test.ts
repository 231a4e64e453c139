import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { StoredApproval } from '../../src/approvals/contract.ts';
import { opened, type Question } from '../../src/approvals/state.ts';
import { messageOf, sendMessage } from '../../src/approvals/webhook.ts';
import { questionOf } from '../support/question.ts';

const T = 1_800_000_000_000;
const LINK = 'https://edge.example/console/#/approvals/id-1?link=x';

/** What reviewers are told of a question; the rest of what is shown is for the console alone. */
function storedOf(question: Partial<Question> = {}, shown: Partial<StoredApproval['shown']> = {}): StoredApproval {
  const approval = opened('id-1', questionOf({ session: null, tokenExpiresAtMs: T + 3_600_000, ...question }), T);
  const seen = { capability_title: 'Pay somebody', method: 'POST', url: '/bank/v1/payments', ...shown };
  return { approval, shown: seen } as StoredApproval;
}

function told(...of: Parameters<typeof storedOf>) {
  const message = messageOf(storedOf(...of), LINK) as {
    text: string;
    blocks: [{ text: { text: string } }, { elements: [{ url: string }] }];
    keywarden: Record<string, unknown>;
  };
  return { ...message, words: message.blocks[0].text.text, button: message.blocks[1].elements[0].url };
}

describe('the message to reviewers', () => {
  it('says who asks for what, of how many people, and until when', () => {
    const { text, words, button, keywarden } = told();
    expect(text).toBe('agent-1 asks: Pay somebody');
    expect(words).toBe(
      'agent-1 asks: Pay somebody\nPOST /bank/v1/payments\nOne person must agree. It expires at 2027-01-15T08:10:00.000Z.',
    );
    expect(button).toBe(LINK);
    expect(keywarden).toEqual({
      type: 'approval.requested',
      approval_id: 'id-1',
      agent_id: 'agent-1',
      session_id: null,
      capability: 'bank:pay',
      method: 'POST',
      url: '/bank/v1/payments',
      expires_at: '2027-01-15T08:10:00.000Z',
      link: LINK,
    });
    const two = told({ session: 'ses-1', count: 2 });
    expect(two.words).toMatch(/^agent-1 \(session ses-1\) asks: .*\n.*\nTwo people must agree\./);
    expect(two.keywarden).toMatchObject({ session_id: 'ses-1' });
  });

  it('leaves out the query, where an agent may have put what is nobody’s', () => {
    const { words, keywarden } = told({}, { url: '/bank/v1/payments?to=acct_7\n&x=?y' });
    expect(JSON.stringify([words, keywarden])).not.toContain('acct_7');
    expect(keywarden).toMatchObject({ url: '/bank/v1/payments' });
  });

  it('shows what an agent wrote as text: it calls nobody, and no link in it lies about where it leads', () => {
    const { words } = told({}, { url: '/v1/<!channel>/<https://evil.example|our-bank>/&lt;/*b*_i_~s~`c`' });
    const path = words.split('\n')[1] ?? '';
    expect(path).not.toMatch(/[<>]/);
    expect(path).toContain('/&lt;!channel&gt;/');
    expect(path).toContain('/&amp;lt;/');
    // A zero-width space before each mark: Slack takes none of them for markup.
    expect(path.match(/\u200b?[*_~`|]/g)).toEqual(
      ['|', '*', '*', '_', '_', '~', '~', '`', '`'].map((m) => `\u200b${m}`),
    );
    expect(told({}, { capability_title: '<!here>' }).text).toBe('agent-1 asks: &lt;!here&gt;');
  });

  it('leads to the edge by the address of its own configuration', async () => {
    const bodies: string[] = [];
    const server = createServer(async (request, response) => {
      for await (const chunk of request) bodies.push(String(chunk));
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const receiver = { url, secret: 'a secret of more than thirty-two characters' };
    for (const publicUrl of ['https://edge.example', 'https://edge.example/'])
      expect(await sendMessage({ ...receiver, publicUrl }, storedOf(), 'nonce', T)).toBe(true);
    server.close();
    const links = bodies.map((body) => (JSON.parse(body) as { keywarden: { link: string } }).keywarden.link);
    expect(links[0]).toMatch(
      /^https:\/\/edge\.example\/console\/#\/approvals\/id-1\?link=nonce\.1800000600\.[0-9a-f]{64}$/,
    );
    expect(links[1]).toBe(links[0]);
  });

  it('fits into what Slack takes, however long the path is', () => {
    expect(told({}, { url: `/${'a'.repeat(9_000)}` }).words.length).toBeLessThan(3_000);
  });
});
