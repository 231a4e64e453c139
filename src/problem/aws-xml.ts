import type { PublicProblem } from './public-problem.ts';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** S3's own form: the error is the root. */
export function s3Xml(p: PublicProblem, instance: string): string {
  const code = codeOf(p.status, {
    unauthorized: 'InvalidToken',
    tooMany: 'SlowDown',
    invalid: 'InvalidRequest',
  });
  return `${DECLARATION}<Error><Code>${code}</Code><Message>${xml(p.message)}</Message><RequestId>${xml(instance)}</RequestId><KeywardenCode>${p.code}</KeywardenCode></Error>`;
}

/**
 * The form of AWS's services that take forms and answer in XML (SNS, STS, IAM …): an `Error` below the root. EC2 has it one
 * level deeper, in `Errors`; the SDKs pass over the place that is not theirs, so that one body serves both.
 */
export function queryXml(p: PublicProblem, instance: string): string {
  const code = codeOf(p.status, {
    unauthorized: 'InvalidClientTokenId',
    tooMany: 'Throttling',
    invalid: 'ValidationError',
  });
  const type = p.status < 500 ? 'Sender' : 'Receiver';
  const error = `<Error><Type>${type}</Type><Code>${code}</Code><Message>${xml(p.message)}</Message><KeywardenCode>${p.code}</KeywardenCode></Error>`;
  return `${DECLARATION}<ErrorResponse>${error}<Errors>${error}</Errors><RequestId>${xml(instance)}</RequestId></ErrorResponse>`;
}

/** By it an SDK chooses its exception, and whether it tries again. */
function codeOf(
  status: number,
  words: { readonly unauthorized: string; readonly tooMany: string; readonly invalid: string },
): string {
  if (status === 401) return words.unauthorized;
  if (status === 403) return 'AccessDenied';
  if (status === 429) return words.tooMany;
  return status < 500 ? words.invalid : 'ServiceUnavailable';
}

const xml = (s: string): string => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
