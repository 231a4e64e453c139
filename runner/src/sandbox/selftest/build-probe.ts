import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Failure } from '../../failure.ts';
import { inPackage } from '../../project.ts';

const SOURCES = ['probe.c', 'probe-files.c', 'probe-calls.c', 'probe-channels.c'];
const FLAGS = ['-std=gnu11', '-O1', '-static', '-pthread', '-Wall', '-Wextra', '-Werror'];

/** Compiles the attacks into one static program, which runs in any sandbox of this machine's kind. */
export async function buildProbe(directory: string): Promise<string> {
  const path = join(directory, 'probe');
  const files = SOURCES.map((name) => inPackage('src/sandbox/selftest', name));
  try {
    await promisify(execFile)(process.env['CC'] ?? 'cc', [...FLAGS, '-o', path, ...files]);
  } catch (error) {
    throw new Failure(
      `the probes do not compile: ${((error as { stderr?: string }).stderr || String(error)).slice(0, 1000)}`,
      'apt-get install gcc libc6-dev linux-libc-dev',
    );
  }
  return path;
}
