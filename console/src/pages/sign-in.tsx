import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import type { ConsoleSession } from '../../../src/protocol.ts';
import { post } from '../api.ts';
import { me } from '../state.ts';
import { Brand } from '../ui.tsx';

/** Why the link in the address did not sign in. */
export const linkRefused = signal<string | null>(null);

export function SignIn() {
  const [key, setKey] = useState('');
  const [failed, setFailed] = useState<string | null>(null);
  const error = failed ?? linkRefused.value;
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      me.value = await post<ConsoleSession>('/v1/console/session', { key: key.trim() });
      setKey('');
    } catch (failure) {
      setFailed((failure as Error).message);
    }
  };
  return (
    <main class="sign-in">
      <Brand />
      <form onSubmit={(event) => void submit(event)}>
        <h1>Sign in</h1>
        <p class="dim">
          With an operator key. On this machine it stands in <code>.keywarden/operator.key</code>;{' '}
          <code>npm start</code> prints a link that needs none.
        </p>
        <label>
          Operator key
          <input
            type="password"
            name="key"
            autoComplete="current-password"
            spellcheck={false}
            required
            minLength={16}
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        {error === null ? null : (
          <p class="notice bad" role="alert">
            {error}
          </p>
        )}
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
