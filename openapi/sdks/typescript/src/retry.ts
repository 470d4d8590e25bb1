import { HeadwaterError, shouldRetry, toError } from './problem.js';

/** When to give up, and how long to wait between tries. */
export interface RetryOptions {
  /** No try begins later than this after the first, in milliseconds; 120 000 by default. */
  deadlineMs?: number;
  /** The first wait, in milliseconds, doubled with each try; 100 by default. */
  firstWaitMs?: number;
  /** The longest wait, in milliseconds; 5 000 by default. */
  longestWaitMs?: number;
}

/**
 * How long to wait before try `attempt` (the first repeat is 1): exponential with full jitter, so that
 * clients which failed together do not come back together, and never less than the service asked for.
 */
export function waitMs(
  attempt: number,
  retryAfterMs: number | undefined,
  options: RetryOptions = {},
  random: () => number = Math.random,
): number {
  const { firstWaitMs = 100, longestWaitMs = 5_000 } = options;
  const ceiling = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(attempt - 1, 30));
  return Math.max(retryAfterMs ?? 0, random() * ceiling);
}

/** Calls until it succeeds, may not be repeated, or the deadline has passed. */
export async function withRetries<T>(
  call: () => Promise<T>,
  repeatable: boolean,
  options: RetryOptions = {},
  signal?: AbortSignal,
): Promise<T> {
  const deadline = Date.now() + (options.deadlineMs ?? 120_000);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = toError(thrown);
      const wait = waitMs(attempt, error.retryAfterMs, options);
      if (!shouldRetry(error, repeatable) || Date.now() + wait > deadline) throw error;
      await sleep(wait, signal);
    }
  }
}

/** Waits; ends early, and throws, when the signal is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const aborted = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }, ms);
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** A signal that is aborted by another, or after so long. */
export function within(ms: number, signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(ms);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

/** The data of a generated call, or its problem as an error. */
export async function answered<T>(
  call: Promise<{ data?: T; error?: unknown; response?: Response }>,
): Promise<T> {
  const { data, error, response } = await call;
  if (response?.ok && data !== undefined) return data;
  if (response !== undefined && typeof error !== 'object') {
    throw new HeadwaterError(`no answer: HTTP ${response.status}`, undefined, error);
  }
  throw toError(error);
}
