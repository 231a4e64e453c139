import { existsSync, statSync } from 'node:fs';
import type { PolicyProblem } from '../../../src/offline.ts';
import { counted } from '../counted.ts';
import { missingSecrets } from '../edge/required-secrets.ts';
import { readVars } from '../edge/vars.ts';
import { Failure } from '../failure.ts';
import { problemLine, tryCompileDirectory } from '../policy/compile.ts';
import { shellWord } from '../shell-word.ts';
import { checkSigningKey } from '../state/keys.ts';
import { octal, readPrivateFile } from '../state/private-file.ts';
import type { StateDirectory } from '../state/state-directory.ts';
import { broken, type Check, fine, skipped } from './check.ts';

/** What is wrong first, and how to mend it. */
function wordsOf(problems: readonly PolicyProblem[], directory: string): [detail: string, mend: string] {
  const [first] = problems;
  const line = first === undefined ? '' : problemLine({ ...first, fix: '' });
  const all = problems.length > 1 ? `; keywarden policy check ${shellWord(directory)} tells all` : '';
  return [`${counted(problems.length, 'problem')}${all && ', the first'}: ${line}`, `${first?.fix ?? ''}${all}`];
}

/** Do the policies compile, and is every secret that they want in the vars file? */
export async function policyChecks(directory: string, varsFile: string | null): Promise<Check[]> {
  try {
    const compiled = await tryCompileDirectory(directory, { allowLoopbackHttp: true });
    if (!compiled.ok) return [broken('policies', ...wordsOf(compiled.error, directory))];
    const count = Object.keys(compiled.value.services).length;
    const policies = fine('policies', `${counted(count, 'service')} in ${directory}`);
    if (varsFile === null) return [policies, skipped('secrets', 'no .dev.vars and no --vars: not looked at')];
    const missing = await missingSecrets(compiled.value, readVars(varsFile));
    if (missing.length === 0) return [policies, fine('secrets', `all that the policies want are in ${varsFile}`)];
    return [
      policies,
      broken(
        'secrets',
        `missing: ${missing.map((m) => `${m.name} (${m.services.join(', ')})`).join('; ')}`,
        `write them into ${varsFile}`,
      ),
    ];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [broken('policies', error.message, error.hints.join('; ') || 'keywarden policy check')];
  }
}

/** Are the state directory and the keys in it whole and ours alone? */
export function stateCheck(state: StateDirectory | null): Check {
  if (state === null || !existsSync(state.path)) return skipped('state directory', 'none yet: keywarden dev makes it');
  const mode = statSync(state.path).mode;
  if ((mode & 0o077) !== 0)
    return broken(
      'state directory',
      `${state.path} is open to others (mode ${octal(mode)})`,
      `chmod 700 ${state.path}`,
    );
  try {
    const signing = readPrivateFile(state.signingKeyFile);
    if (signing !== null) checkSigningKey(signing, state.signingKeyFile, 'delete it: keywarden dev makes a new one');
    readPrivateFile(state.operatorKeyFile);
    readPrivateFile(state.edgeFile);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return broken('state directory', error.message, error.hints.join('; '));
  }
  return fine('state directory', `${state.path}, yours alone`);
}
