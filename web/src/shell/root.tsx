import { Link, Outlet, useRouter } from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { buttonClass } from "../ui/button";
import { Empty, Page } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { Toasts } from "../ui/toast";

export function Root() {
  return (
    <>
      <Outlet />
      <Toasts />
    </>
  );
}

/** What a page shows that failed while it was drawn. */
export function RouteFault({ error, reset }: { error: unknown; reset: () => void }) {
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  return (
    <Page title="This page failed">
      <ProblemNote error={error} onRetry={retry} />
    </Page>
  );
}

export function NotFound() {
  return (
    <Page title="Not found" name="Not found">
      <Empty
        icon={<Compass className="size-5" />}
        title="There is no such page"
        action={
          <Link to="/" className={buttonClass("primary")}>
            Go to the start
          </Link>
        }
      />
    </Page>
  );
}

/** The session could not be asked for: the service starts, is overloaded or cannot be reached. */
export function ServiceAway({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  return (
    <main className="mx-auto max-w-lg px-4 py-24">
      <h1 className="mb-4 text-xl font-semibold">Headwater does not answer</h1>
      <ProblemNote error={error} onRetry={onRetry} />
    </main>
  );
}
