import { CLOCK_TOLERANCE_SECONDS } from '../../../src/protocol.ts';
import { broken, type Check, fine, warning } from './check.ts';

/** More than a clock that is kept by NTP is ever off by. */
const NOTICED_SECONDS = 3;

const MEND = 'set the clock that is wrong, here or on the host of the edge: timedatectl set-ntp true';

/**
 * Do the edge's clock and ours agree? All times in Unix ms.
 *
 * @param edgeNow    What the edge said; somewhere between the next two it was so.
 * @param askedAt    By our clock.
 * @param answeredAt By our clock.
 */
export function clockCheck(edgeNow: number, askedAt: number, answeredAt: number): Check {
  // How long the answer was on its way is no skew.
  const ahead = Math.max(0, askedAt - edgeNow);
  const behind = Math.max(0, edgeNow - answeredAt);
  const seconds = Math.max(ahead, behind) / 1000;
  const words = `${spanOf(seconds)} ${ahead > behind ? 'ahead of' : 'behind'} the edge's`;
  if (seconds > CLOCK_TOLERANCE_SECONDS)
    return broken(
      'clock',
      `${words}, which tolerates ${CLOCK_TOLERANCE_SECONDS} s: it may refuse the deadlines of sessions and tokens that were made elsewhere, and its tokens look expired or not yet valid here`,
      MEND,
    );
  if (seconds > NOTICED_SECONDS)
    return warning('clock', `${words}: times in the audit and those here do not fit together`, MEND);
  return fine('clock', `within ${NOTICED_SECONDS} s of the edge's`);
}

function spanOf(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
