import { chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { boxFolders, makeBox } from '../../src/session/places.ts';
import { runnerStateAt } from '../../src/session/runner-state.ts';
import { makeSessionId } from '../../src/session/session-id.ts';

it.runIf(process.getuid?.() === 0)(
  'what is laid down for a session lies in no folder of another user, who was there first',
  () => {
    const theirs = mkdtempSync(join(tmpdir(), 'kw-'));
    onTestFinished(() => rmSync(theirs, { recursive: true }));
    const [session, ours] = [makeSessionId(), join(theirs, 'keywarden-0')];
    mkdirSync(ours, { mode: 0o700 });
    // A state directory whose path leaves no room for the name of a socket.
    const state = runnerStateAt(join(theirs, 's'.repeat(90)));
    const folders = (): string[] => boxFolders(state, session, { XDG_RUNTIME_DIR: theirs }).map(dirname);
    expect(folders()).toContain(ours);
    makeBox(join(ours, session));
    chownSync(ours, 65_534, 65_534);
    expect(folders()).not.toContain(ours);
    expect(() => makeBox(join(ours, makeSessionId()))).toThrow();
  },
);
