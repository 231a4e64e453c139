/** What the runner tells `supervise`: `struct message` of runner/helper/src/helper.h, six bytes each. */
export function signalMessage(number: number): Buffer {
  return Buffer.from(['S'.charCodeAt(0), number, 0, 0, 0, 0]);
}

/** SIGKILL is for everything in the sandbox. */
export const KILL_MESSAGE = signalMessage(9);

export function resizeMessage(columns: number, rows: number): Buffer {
  const message = Buffer.from(['R'.charCodeAt(0), 0, 0, 0, 0, 0]);
  message.writeUInt16LE(Math.min(columns, 0xffff), 2);
  message.writeUInt16LE(Math.min(rows, 0xffff), 4);
  return message;
}
