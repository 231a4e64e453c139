import { EXIT, Failure } from '../failure.ts';
import { complain } from './terminal.ts';

const SHOW_WHERE = 'KEYWARDEN_DEBUG=1 shows where';

/**
 * Tells of an error in our form, whatever was thrown.
 *
 * @param help Where no hint comes with it.
 * @returns the exit code.
 */
export function tell(error: unknown, help: string): number {
  if (error instanceof Failure) {
    complain(error.message, error.hints.length > 0 ? error.hints : [help]);
    return error.exitCode;
  }
  const thrown = (error instanceof Error ? error : new Error(String(error))) as NodeJS.ErrnoException;
  if (thrown.syscall === 'uv_cwd') complain('the working directory is not there any more', ['cd to one that is']);
  else if (hintOn(thrown) !== '') complain(`the system refuses: ${thrown.message}`, [hintOn(thrown), SHOW_WHERE]);
  else complain(`unexpected: ${thrown.message}`, [`this is a bug of keywarden; ${SHOW_WHERE}`]);
  if (process.env['KEYWARDEN_DEBUG']) process.stderr.write(`${thrown.stack}\n`);
  return EXIT.failed;
}

/** What helps against a system that has no more to give; empty for what it never refuses by itself. */
export function hintOn({ code, syscall }: NodeJS.ErrnoException): string {
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
