import { problemOf } from "./problem";

/**
 * The session. The access token lives in this module's memory alone; what survives a reload is the
 * refresh cookie, which scripts cannot read.
 */
let token: { text: string; expiresAt: number } | null = null;
const listeners = new Set<() => void>();

const REFRESH_BEFORE_MS = 60_000;

export function isSignedIn(): boolean {
  return token !== null;
}

/** Calls `listener` when somebody signs in or out; returns how to stop. */
export function onSessionChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function keep(next: { access_token: string; expires_in: number } | null) {
  const changed = (token === null) !== (next === null);
  token = next && { text: next.access_token, expiresAt: Date.now() + next.expires_in * 1_000 };
  if (changed) for (const listener of [...listeners]) listener();
}

async function ask(path: string, method: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = body === undefined ? {} : { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token.text}`;
  return fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

export async function signIn(email: string, password: string): Promise<void> {
  const response = await ask("/v1/sessions", "POST", { email, password });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw problemOf(answer, response.status);
  keep(answer);
}

export async function signOut(): Promise<void> {
  try {
    await ask("/v1/sessions/current", "DELETE");
  } finally {
    keep(null);
  }
}

let refreshing: Promise<boolean> | null = null;

/** Gets a new access token by the cookie. False where there is no session to restore. */
export function refresh(): Promise<boolean> {
  refreshing ??= exclusively(async () => {
    const response = await ask("/v1/sessions/refresh", "POST");
    // A service that is starting or overloaded has not ended the session.
    if (response.status >= 500 || response.status === 429) {
      throw problemOf(await response.json().catch(() => null), response.status);
    }
    keep(response.ok ? await response.json() : null);
    return response.ok;
  }).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

/**
 * A refresh token works once, and one that is used twice ends the session: the tabs of one browser
 * share the cookie, so they take turns.
 */
async function exclusively<T>(task: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request("headwater-refresh", task) : task();
}

/** A fetch with the session's token; renews it before it ends, and once after a 401. */
export async function authorizedFetch(input: Request | string, init?: RequestInit): Promise<Response> {
  if (token && token.expiresAt - Date.now() < REFRESH_BEFORE_MS) await refresh();
  const request = new Request(input, init);
  const again = request.clone();
  const response = await fetch(withToken(request));
  if (response.status !== 401 || !token) return response;
  return (await refresh()) ? fetch(withToken(again)) : response;
}

function withToken(request: Request): Request {
  if (token) request.headers.set("Authorization", `Bearer ${token.text}`);
  return request;
}
