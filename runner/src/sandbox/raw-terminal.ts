import { spawnSync } from 'node:child_process';

/**
 * Our own terminal hands on bytes as they are, both ways, while the agent has one inside: the line discipline of that one does
 * all the work. Node's raw mode alone leaves output processing on (libuv keeps OPOST), so that every line feed of a full-screen
 * program would get a carriage return of ours. Node has no word for it; stty(1) has.
 *
 * @returns Gives the terminal back as it was.
 */
export function rawTerminal(): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => {};
  stdin.setRawMode(true);
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  return () => void stdin.setRawMode(false);
}
