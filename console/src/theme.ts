import { say } from './state.ts';

const THEMES = ['auto', 'light', 'dark'] as const;
const themeNow = (): string => document.documentElement.dataset['theme'] ?? 'auto';
function setTheme(theme: string): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    localStorage.setItem('theme', theme);
  } catch {
    // A browser that keeps nothing.
  }
  dispatchEvent(new Event('themechange'));
}
try {
  setTheme(localStorage.getItem('theme') ?? 'auto');
} catch {
  // The same.
}

export const nextTheme = (): void => {
  const next = THEMES[(THEMES.indexOf(themeNow() as 'auto') + 1) % THEMES.length] ?? 'auto';
  setTheme(next);
  say(`Theme: ${next}`);
};
