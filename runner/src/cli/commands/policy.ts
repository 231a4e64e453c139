import { Command } from 'commander';
import { inProject } from '../../project.ts';
import { collectFields, collectNames } from '../arguments.ts';
import type { SetExit } from '../program.ts';
import type { CheckOptions } from './policy-check.ts';
import type { ExplainOptions } from './policy-explain.ts';

const LOCAL_HELP = 'also accept http:// origins on loopback, as keywarden dev does';

export function policyCommand(setExit: SetExit): Command {
  return new Command('policy')
    .description('check, test and explain policies, without an edge')
    .addCommand(
      new Command('check')
        .description('compile the policies: every error at once, with file, line, column and fix')
        .argument('[dir]', "their directory (default: the project's policies/)")
        .option('--dev', LOCAL_HELP)
        .option('--json', 'print { ok, problems, services }')
        .addHelpText('after', '\nExit code 1 when there is a problem.\n\nExample:\n  keywarden policy check policies')
        .action(async (dir: string | undefined, options: CheckOptions) => {
          const { checkPolicies } = await import('./policy-check.ts');
          setExit(await checkPolicies(dir ?? inProject('policies'), options));
        }),
    )
    .addCommand(
      new Command('test')
        .description("run the policies' fixtures: requests, and whether each must be allowed")
        .argument('[dir]', "the policies' directory; fixtures are in its tests/")
        .option('--dev', LOCAL_HELP)
        .option('--json', 'print { ok, passed, failures, problems }')
        .addHelpText('after', '\nExit code 1 when a fixture fails.\n\nExample:\n  keywarden policy test policies')
        .action(async (dir: string | undefined, options: CheckOptions) => {
          const { testPolicies } = await import('./policy-test.ts');
          setExit(await testPolicies(dir ?? inProject('policies'), options));
        }),
    )
    .addCommand(explainCommand(setExit));
}

function explainCommand(setExit: SetExit): Command {
  return new Command('explain')
    .description('would agent A with capabilities C be allowed this call, and why')
    .usage('--agent ID --can CAP… METHOD PATH [options]')
    .argument('<words...>', 'METHOD and PATH, as in GET /proxy/stripe/v1/balance or GET stripe/v1/balance')
    .requiredOption('--agent <id>', 'who would call')
    .option('--can <capability>', 'what the token would allow; repeatable, several, or comma-separated', collectNames)
    .option('--body <text>', 'the body, or @file')
    .option('--header <field>', "a header field that a condition asks for, 'name: value'; repeatable", collectFields)
    .option('--content-type <type>', "the body's type (default with --body: application/json)")
    .option('--session <id>', 'the session it would belong to')
    .option('--policies <dir>', "the policies (default: the project's policies/)")
    .option('--dev', LOCAL_HELP)
    .option('--json', 'print the decision and its evidence')
    .addHelpText(
      'after',
      `
Exit code 0 when it would be allowed, 1 when not.

Examples:
  keywarden policy explain --agent demo --can stripe:read_balance \\
    GET /proxy/stripe/v1/balance
  keywarden policy explain --agent demo --can stripe:refund \\
    POST stripe/v1/refunds --body amount=100 \\
    --content-type application/x-www-form-urlencoded
  keywarden policy explain --agent demo --can sqs:send POST sqs/ \\
    --header 'x-amz-target: AmazonSQS.SendMessage'`,
    )
    .action(async (words: string[], options: ExplainOptions) => {
      const { explainPolicy } = await import('./policy-explain.ts');
      setExit(await explainPolicy(words, options));
    });
}
