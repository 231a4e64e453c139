import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Refusal } from './api.ts';
import { clock, complain } from './state.ts';

const PATHS = {
  approvals: 'M9 12l2 2 4-4M12 3l7 3v5c0 4.5-3 8-7 10-4-2-7-5.500-7-10V6z',
  sessions: 'M4 5h16v11H4zM9 20h6M12 16v4',
  audit: 'M6 3h9l4 4v14H6zM9 11h7M9 15h7M14 3v5h5',
  signals: 'M3 13h4l3-8 4 14 3-6h4',
  policies: 'M12 4v16M5 7h14M5 7l-3 7h6zM19 7l-3 7h6zM8 20h8',
  stop: 'M8 3h8l5 5v8l-5 5H8l-5-5V8zM9 12h6',
  sun: 'M12 8a4 4 0 100 8 4 4 0 000-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.400 1.400M17.600 17.600L19 19M5 19l1.400-1.400M17.600 6.400L19 5',
  out: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  help: 'M12 3a9 9 0 100 18 9 9 0 000-18M9.500 9.500a2.500 2.500 0 115 0c0 1.700-2.500 2-2.500 3.800M12 16.800v.2',
  back: 'M15 5l-7 7 7 7',
} as const;
export type IconName = keyof typeof PATHS;

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);

export const Brand = () => (
  <a class="brand" href="#/approvals">
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <circle cx="11" cy="16" r="6" />
      <path d="M17 16h12v5M24 16v4" />
    </svg>
    <span>Keywarden</span>
  </a>
);

/** What may hold anything: shown as text, with what would move or hide text made visible. */
const DECEIVING = /(?! )[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
export const plain = (text: string): string =>
  text.replace(DECEIVING, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`);

export const Code = ({ children }: { children: string | null | undefined }) => <code>{plain(children ?? '—')}</code>;

export const Tag = ({ tone, children }: { tone?: string; children: ComponentChildren }) => (
  <span class={`tag ${tone ?? ''}`}>{children}</span>
);

export const toneOf = (state: string | null | undefined): string =>
  ({
    allow: 'good',
    approved: 'good',
    used: 'good',
    running: 'good',
    deny: 'bad',
    denied: 'bad',
    lost: 'bad',
    pending: 'warn',
    stopping: 'warn',
    approval: 'warn',
  })[state ?? ''] ?? '';

export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children === undefined ? null : <p>{children}</p>}
  </div>
);

export const pad = (n: number): string => String(n).padStart(2, '0');
function clockTime(iso: string): string {
  const at = new Date(iso);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}
function dayTime(iso: string): string {
  const at = new Date(iso);
  const same = at.toDateString() === new Date().toDateString();
  return same ? clockTime(iso) : `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clockTime(iso)}`;
}
export const Time = ({ at }: { at: string }) => (
  <time dateTime={at} title={at}>
    {dayTime(at)}
  </time>
);

export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${pad(s % 60)} min`;
  return s < 86_400 ? `${Math.floor(s / 3600)}:${pad(Math.floor((s % 3600) / 60))} h` : `${Math.floor(s / 86_400)} d`;
}
export const duration = (seconds: number): string =>
  seconds % 3600 === 0 ? `${seconds / 3600} h` : seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;

/** Seconds left, and a bar of how much of the time has gone. */
export function Countdown({ from, to }: { from: string; to: string }) {
  const left = Date.parse(to) - clock.value;
  const all = Date.parse(to) - Date.parse(from);
  const share = Math.min(1, Math.max(0, left / all));
  return (
    <span class={`countdown ${left < 60_000 ? 'soon' : ''}`}>
      <span class="countdown-bar" aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
      </span>
      {left <= 0 ? 'expired' : `${span(left)} left`}
    </span>
  );
}

/** A button that cannot be pressed twice, and says what went wrong. */
export function Act(props: {
  run: () => Promise<unknown>;
  children: ComponentChildren;
  class?: string;
  hotkey?: string;
  disabled?: boolean;
}) {
  const [busy, setBusy] = useState(false);
  const press = async (): Promise<void> => {
    setBusy(true);
    try {
      await props.run();
    } catch (error) {
      complain(error);
    }
    setBusy(false);
  };
  return (
    <button
      type="button"
      class={props.class ?? ''}
      data-hotkey={props.hotkey}
      disabled={busy || props.disabled === true}
      aria-busy={busy}
      onClick={() => void press()}
    >
      {props.children}
      {props.hotkey === undefined ? null : <kbd>{props.hotkey}</kbd>}
    </button>
  );
}

const AWAY_MS = 3000;

/** Loads again whenever `key` changes, and every `everyMs`; answers that come too late are dropped. */
export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  key: string,
  everyMs: number | null = null,
): { data: T | null; error: string | null; reload: () => void } {
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  const last = useRef(key);
  if (last.current !== key) {
    last.current = key;
    setData(null);
  }
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const run = async (): Promise<void> => {
      let away = false;
      try {
        if (!document.hidden || everyMs === null) {
          const next = await load(abort.signal);
          if (abort.signal.aborted) return;
          setData(next);
          setError(null);
        }
      } catch (failure) {
        if (abort.signal.aborted) return;
        setError((failure as Error).message);
        // An edge that went away may come back; a no stays a no.
        away = failure instanceof Refusal && (failure.status === 0 || failure.status >= 500);
      }
      const wait = everyMs ?? (away ? AWAY_MS : null);
      if (wait !== null && !abort.signal.aborted) timer = setTimeout(run, wait) as unknown as number;
    };
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, round, everyMs]);
  return { data, error, reload: () => setRound((n) => n + 1) };
}

export const Failed = ({ text }: { text: string | null }) =>
  text === null ? null : (
    <p class="notice bad" role="alert">
      {text}
    </p>
  );

/** In the place of what is not there, or not yet; on a phone, where it has the page to itself, with the way back. */
export const Missing = ({ back, error }: { back: ComponentChildren; error: string | null }) =>
  error === null ? (
    <div class="loading" aria-busy="true" />
  ) : (
    <article class="detail">
      {back}
      <Failed text={error} />
    </article>
  );

/** JSON as text: never markup. */
export const Raw = ({ value }: { value: unknown }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
  <pre class="raw" tabIndex={0}>
    {plain(JSON.stringify(value, null, 2)).replaceAll('\\u{a}', '\n')}
  </pre>
);

export const PageHead = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <header class="page-head">
    <h1>{title}</h1>
    <div class="page-tools">{children}</div>
  </header>
);
