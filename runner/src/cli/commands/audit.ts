import { Command, Option } from 'commander';
import { AgentId, AuditEvent, CapabilityName, SessionId } from '../../../../src/protocol.ts';
import { countUpTo, cursorOption, parseAs, parseInstant, parseRequestId, stateOption } from '../arguments.ts';
import type { SetExit } from '../program.ts';
import type { ExportOptions } from './audit-export.ts';
import type { ListOptions } from './audit-list.ts';
import type { VerifyOptions } from './audit-verify.ts';

export function auditCommand(setExit: SetExit): Command {
  return new Command('audit')
    .description('what was called, by whom, and with what outcome')
    .addCommand(listCommand())
    .addCommand(verifyCommand(setExit))
    .addCommand(exportCommand());
}

function listCommand(): Command {
  return new Command('list')
    .description('the newest rows, oldest first')
    .option('--agent <id>', 'only of this agent', parseAs(AgentId))
    .option('--session <id>', 'only of this session', parseAs(SessionId))
    .option('--capability <name>', 'only under this capability', parseAs(CapabilityName))
    .option('--service <name>', 'only to this service')
    .addOption(new Option('--decision <decision>', 'only what was allowed or denied').choices(['allow', 'deny']))
    .addOption(new Option('--event <event>', 'only this event').choices(AuditEvent.options))
    .option('--since <time>', 'only from then on: 1h ago, 2026-01-31, or 2026-01-31T12:00:00Z', parseInstant)
    .addOption(
      new Option('--until <time>', 'only before then, written as --since').argParser(parseInstant).conflicts('follow'),
    )
    .option('--request <id>', 'only of this call: the `instance` of its error, or the bare id', parseRequestId)
    .option('--reason <reason>', 'only what was denied or failed for this reason: rate_limited')
    .option('--text <words>', 'only with this text in path, reason, operator, request id or detail')
    .option('--limit <n>', 'at most so many rows, 1 to 1000', countUpTo(1000), 50)
    .addOption(cursorOption().conflicts('follow'))
    .option('--follow', 'go on with new rows as they come')
    .addOption(stateOption())
    .option('--json', 'print { rows, next_cursor }, newest first; with --follow one row a line, oldest first')
    .addHelpText(
      'after',
      `
A terminal that is too narrow shows wide columns cut, with … at their ends;
into a pipe, and with --json, all is whole.

Examples:
  keywarden audit list --since 1h --decision deny
  keywarden audit list --event token.minted | less -S
  keywarden audit list --request 3ff62d8e-5f4c-4f0f-8a44-7a1bd5a4f6a1
  keywarden audit list --agent demo --follow`,
    )
    .action(async (options: ListOptions) => (await import('./audit-list.ts')).listAudit(options));
}

function verifyCommand(setExit: SetExit): Command {
  return new Command('verify')
    .description('check that no row was altered, dropped, added or reordered')
    .argument(
      '[file]',
      'an export (NDJSON), - for standard input; without it the edge is asked for one, which is checked here',
    )
    .option('--jwks <file-or-url>', "the edge's public keys, to check an export's signed checkpoint with")
    .addOption(stateOption())
    .option(
      '--json',
      'print { ok, rows, ledgers, checkpoint, issuer, issued_at, …, problems: [{ line, ledger, seq, problem }] }',
    )
    .addHelpText(
      'after',
      `
Exit code 1 when anything is broken; each problem is named by its line, or by
ledger and row. Without --jwks a file is only checked for fitting together: who
changed it could have made the chain and the checkpoint anew. An older export
is sound, too: look at the checkpoint's time.

Examples:
  keywarden audit verify
  keywarden audit export --out audit.ndjson
  keywarden audit verify audit.ndjson \\
    --jwks https://edge.example/.well-known/jwks.json`,
    )
    .action(async (file: string | undefined, options: VerifyOptions) => {
      const { verifyAudit } = await import('./audit-verify.ts');
      setExit(await verifyAudit(file, options));
    });
}

function exportCommand(): Command {
  return new Command('export')
    .description('all rows as NDJSON, with a signed checkpoint as the last line')
    .option('--out <file>', 'write to a new file of mode 0600 instead of stdout')
    .addOption(stateOption())
    .addHelpText(
      'after',
      `
Example:
  keywarden audit export --out audit.ndjson`,
    )
    .action(async (options: ExportOptions) => (await import('./audit-export.ts')).exportAudit(options));
}
