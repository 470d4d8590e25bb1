export interface AuditSearch {
  actor?: string;
  action?: string;
  outcome?: "allowed" | "denied";
  /** Times in RFC 3339. */
  since?: string;
  until?: string;
}

const text = (value: unknown) => (value === undefined || value === "" ? undefined : String(value));

export function readAuditSearch(search: Record<string, unknown>): AuditSearch {
  return {
    actor: text(search.actor),
    action: text(search.action),
    outcome: search.outcome === "allowed" || search.outcome === "denied" ? search.outcome : undefined,
    since: text(search.since),
    until: text(search.until),
  };
}
