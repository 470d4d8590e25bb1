type Name = "headwater-project" | "headwater-provider";

/** What this browser had last: the project that was open, the provider that somebody signed in with. */
export function remembered(name: Name): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: Name, value: string) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Storage may be switched off: it is asked or guessed again next time.
  }
}
