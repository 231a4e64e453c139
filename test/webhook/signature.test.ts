import { createHmac } from 'node:crypto';
import { expect, it } from 'vitest';
import { signatureOf } from '../../src/webhook/signature.ts';

it("a message's signature is a plain HMAC that any receiver can check", () => {
  const secret = 'a secret of more than thirty-two characters';
  const expected = createHmac('sha256', secret).update('1800000000.{"a":1}').digest('hex');
  expect(signatureOf(secret, '1800000000', '{"a":1}')).toBe(`v1=${expected}`);
});
