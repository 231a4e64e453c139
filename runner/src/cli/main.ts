import { CommanderError } from 'commander';
import { EXIT, Failure } from '../failure.ts';
import { endWithNpm } from './end-with-npm.ts';
import { createProgram, fullName } from './program.ts';
import { complain, note, outlivesReaders, patienceLeft } from './terminal.ts';

const SHOW_WHERE = 'KEYWARDEN_DEBUG=1 shows where';

/** The command line's one entry and its only `process.exit`. */

let lost = false;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    const readerWent = error.code === 'EPIPE';
    // A session ends properly all the same.
    if (outlivesReaders()) {
      if (!readerWent && !lost) note(`the output cannot be written: ${error.message}`);
      lost = true;
      return;
    }
    // A reader that went away (`| head`) is no error of ours.
    if (!readerWent) complain(`the output cannot be written: ${error.message}`, [hintOn(error)]);
    process.exit(readerWent ? EXIT.ok : EXIT.failed);
  });
}
// What is thrown where nobody waits for it: in our form, too, and never as if it had gone well.
process.on('uncaughtException', (error) => process.exit(tellOf(error)));

let asked = 'keywarden';
endWithNpm();
process.exit(await drained(await run(process.argv.slice(2))));

async function run(args: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = createProgram((exitCode) => {
    code = exitCode;
  });
  program.hook('preAction', (_program, command) => {
    asked = fullName(command);
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    return tellOf(error);
  }
}

/** @returns the exit code. */
function tellOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof Failure) {
    complain(error.message, error.hints.length > 0 ? error.hints : [`see ${asked} --help`]);
    return error.exitCode;
  }
  const thrown = (error instanceof Error ? error : new Error(String(error))) as NodeJS.ErrnoException;
  if (thrown.syscall === 'uv_cwd') complain('the working directory is not there any more', ['cd to one that is']);
  else if (hintOn(thrown) !== '') complain(`the system refuses: ${thrown.message}`, [hintOn(thrown), SHOW_WHERE]);
  else complain(`unexpected: ${thrown.message}`, [`this is a bug of keywarden; ${SHOW_WHERE}`]);
  if (process.env['KEYWARDEN_DEBUG']) process.stderr.write(`${thrown.stack}\n`);
  return EXIT.failed;
}

/** Pipes are written asynchronously, and a file's errors come later: leave only when everything is out, or nobody takes it. */
async function drained(code: number): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve));
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength === 0) continue;
    await new Promise<void>((resolve) => {
      stream.write('', () => resolve());
      const patience = patienceLeft();
      if (Number.isFinite(patience)) setTimeout(resolve, patience);
    });
  }
  return code;
}

/** What helps against a system that has no more to give; empty for what it never refuses by itself. */
function hintOn({ code, syscall }: NodeJS.ErrnoException): string {
  if (syscall === undefined) return '';
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'make room on that disk';
    case 'EROFS':
      return 'that disk is read-only: name a place that can be written to';
    case 'EACCES':
    case 'EPERM':
      return 'name a place of yours, or become the user whose it is';
    case 'EMFILE':
    case 'ENFILE':
      return 'raise the limit of open files: ulimit -n';
    case 'ENOMEM':
    case 'EAGAIN':
      return 'the system has no memory or no process left';
    case 'EIO':
      return 'the disk does not read or write: look into the log of the system';
    default:
      return '';
  }
}
