// The agent that `npm start` runs in a sandbox. It has an address and a short-lived token, and nothing else.
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const { KEYWARDEN_URL: edge, KEYWARDEN_TOKEN: token } = process.env;
const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-www-form-urlencoded' };

const listed = await fetch(`${edge}/proxy/stripe/v1/customers`, { headers });
const { data = [] } = await listed.json();
console.log(`lists customers: ${listed.status} ${data.map((customer) => customer.name).join(', ')}`);

const read = await readFile(`${homedir()}/.aws/credentials`, 'utf8').catch((error) => error.code);
console.log(`looks for keys in ~/.aws: ${read}`);

const away = await fetch('https://example.com').catch((error) => error.cause?.code ?? error.message);
console.log(`tries the internet: ${away}`);

// More than 10.00 needs a person. The same request again goes through once, after a yes.
const body = new URLSearchParams({ charge: 'ch_demo', amount: '2000', reason: 'requested_by_customer' });
for (let asked = false; ; ) {
  const answer = await fetch(`${edge}/proxy/stripe/v1/refunds`, {
    method: 'POST',
    headers: { ...headers, prefer: asked ? 'wait=20' : 'wait=0' },
    body,
  });
  const { error, id, amount } = await answer.json();
  if (error?.code !== 'approval_pending') {
    console.log(`refunds 20.00: ${answer.status} ${error?.message ?? `${id}, ${amount} cents`}`);
    break;
  }
  if (!asked) console.log(`asks to refund 20.00: ${error.message}`);
  asked = true;
  await sleep(1000);
}
