/** 9999-12-31: beyond it no RFC 3339 text is a time. */
const LAST_MS = 253_402_300_799_999;

/** A row's time, also of one that somebody altered in D1: it must not hide the others. */
export const rowTime = (at: number): string => new Date(Math.min(LAST_MS, Math.max(0, Number(at) || 0))).toISOString();
