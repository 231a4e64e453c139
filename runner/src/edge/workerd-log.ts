/**
 * A line of workerd's log without what only its builders can read: the addresses of a stack, with the path of its program before
 * each, and what it would have told its own service of errors.
 */
export const workerdLine = (message: string): string =>
  message.replace(/[;\s]*\bstack:(?:\s+\S*@[0-9a-f]+)+/g, '').replace(/; sentryErrorContext = \w+/g, '');
