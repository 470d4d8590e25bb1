import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";
import { ProblemError } from "./api/problem";
import { isSignedIn, onSessionChange, refresh } from "./api/session";
import { router } from "./router";
import { ServiceAway } from "./shell/root";
import "./style.css";

const RETRIES_MAX = 2;

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < RETRIES_MAX && !(error instanceof ProblemError && !error.problem.retryable),
    },
  },
});

const root = createRoot(document.getElementById("root")!);

const FONT_WAIT_MS = 400;

/** The text's font, or the end of the patience with it. */
function fonts(): Promise<unknown> {
  const loaded = document.fonts.load("14px Inter").catch(() => undefined);
  return Promise.race([loaded, new Promise((resolve) => setTimeout(resolve, FONT_WAIT_MS))]);
}

/** Restores the session before the first page is drawn, so that nobody sees a sign-in flash by. */
async function start() {
  try {
    await Promise.all([refresh(), fonts()]);
  } catch (error) {
    root.render(<ServiceAway error={error} onRetry={() => void start()} />);
    return;
  }
  root.render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
}

onSessionChange(() => {
  // What one person has read is not for the next one of this window.
  if (!isSignedIn()) queries.clear();
  void router.invalidate();
});

void start();
