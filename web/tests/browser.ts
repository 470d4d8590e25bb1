import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import type { Credentials, Service } from "./service";

const PATHS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch(): Promise<Browser> {
  const executablePath = PATHS.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("no Chromium: install it, or name it in CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

export interface Visit {
  context: BrowserContext;
  page: Page;
  /** What went wrong meanwhile: faults of scripts, refusals of the policy, requests to other hosts. */
  faults: string[];
}

/** A browser of its own, which notes everything that a good console does not do. */
export async function visit(browser: Browser, service: Service, colorScheme: "light" | "dark" = "light"): Promise<Visit> {
  const context = await browser.newContext({ baseURL: service.url, colorScheme, viewport: { width: 1280, height: 850 } });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(`fault: ${error.message}`));
  page.on("dialog", (dialog) => {
    faults.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    if (/content security policy|refused to/i.test(message.text())) faults.push(message.text());
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== service.url && protocol !== "blob:" && protocol !== "data:") faults.push(`asked ${request.url()}`);
  });
  return { context, page, faults };
}

export async function signIn(page: Page, { email, password }: Credentials) {
  await page.goto("/");
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL("**/p/demo");
  await page.getByRole("heading", { level: 1 }).waitFor();
}
