const KEY = "headwater-project";

/** The project that this browser had open last. */
export function lastProject(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function rememberProject(project: string) {
  try {
    localStorage.setItem(KEY, project);
  } catch {
    // Storage may be switched off: the first project is opened next time.
  }
}
