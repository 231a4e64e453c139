import { CommanderError } from 'commander';
import { EXIT } from '../failure.ts';
import { endWithNpm } from './end-with-npm.ts';
import { createProgram, fullName } from './program.ts';
import { hintOn, tell } from './tell.ts';
import { complain, note, outlivesReaders, patienceLeft } from './terminal.ts';

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
  return tell(error, `see ${asked} --help`);
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
