import { CommanderError } from 'commander';
import { EXIT, Failure } from '../failure.ts';
import { endWithNpm } from './end-with-npm.ts';
import { createProgram } from './program.ts';
import { complain, outlivesReaders } from './terminal.ts';

/** The command line's one entry and its only `process.exit`. */

// A reader that went away (`| head`) is no error of ours; a session ends properly all the same.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' && outlivesReaders()) return;
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  });
}

endWithNpm();
process.exit(await drained(await run(process.argv.slice(2))));

async function run(args: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  try {
    await createProgram((exitCode) => {
      code = exitCode;
    }).parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof Failure) {
      complain(error.message, error.hints);
      return error.exitCode;
    }
    if ((error as NodeJS.ErrnoException).syscall === 'uv_cwd') {
      complain('the working directory is not there any more', ['cd to one that is']);
      return EXIT.failed;
    }
    const bug = error instanceof Error ? error : new Error(String(error));
    complain(`unexpected: ${bug.message}`, ['this is a bug of keywarden; KEYWARDEN_DEBUG=1 shows where']);
    if (process.env['KEYWARDEN_DEBUG']) process.stderr.write(`${bug.stack}\n`);
    return EXIT.failed;
  }
}

/** Pipes are written asynchronously: leave only when everything is out. */
async function drained(code: number): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0) await new Promise<void>((resolve) => stream.write('', () => resolve()));
  }
  return code;
}
