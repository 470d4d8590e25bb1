import { useState } from "react";
import { remember, remembered } from "../lib/remembered";
import { buttonClass } from "../ui/button";
import { Field, Input } from "../ui/field";

interface SingleSignOnProps {
  /** The provider that the address names. */
  provider: string | undefined;
  /** The path of this console to end at. */
  target: string;
}

/**
 * Sends the browser to an identity provider; it comes back with the session's cookie. The API lists no
 * providers: one is named by the address, was used here before, or is typed.
 */
export function SingleSignOn({ provider, target }: SingleSignOnProps) {
  const known = provider ?? remembered("headwater-provider");
  const [typed, setTyped] = useState("");
  const link = (name: string) => ({
    href: `/v1/sessions/oidc/${encodeURIComponent(name)}/start?redirect=${encodeURIComponent(target)}`,
    onClick: () => remember("headwater-provider", name),
  });
  return (
    <div className="mt-5 flex flex-col gap-4 border-t pt-4">
      {known && (
        <a {...link(known)} className={`${buttonClass()} w-full`}>
          <span className="truncate">Continue with {known}</span>
        </a>
      )}
      <details>
        <summary className="w-fit cursor-pointer text-[13px] text-soft hover:text-ink">
          Use {known ? "another" : "an"} identity provider
        </summary>
        <div className="mt-3 flex items-end gap-2">
          <Field label="Provider" help="The name your operator gave it." className="flex-1">
            <Input value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" />
          </Field>
          {typed === "" ? (
            <a role="link" aria-disabled className={`${buttonClass()} mb-[22px]`}>
              Continue
            </a>
          ) : (
            <a {...link(typed)} className={`${buttonClass()} mb-[22px]`}>
              Continue
            </a>
          )}
        </div>
      </details>
    </div>
  );
}
