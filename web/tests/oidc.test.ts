import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, visit } from "./browser";
import { Provider } from "./provider";
import { Service } from "./service";

let service: Service;
let browser: Browser;
let provider: Provider;

beforeAll(async () => {
  service = await Service.start(async (url, directory) => {
    provider = await Provider.start(`${url}/v1/sessions/oidc/corp/callback`);
    const file = join(directory, "oidc.toml");
    writeFileSync(file, provider.settings("corp"), { mode: 0o600 });
    return { HEADWATER_OIDC_FILE: file };
  });
  browser = await launch();
  await service.api("PUT", "/organizations/demo/members/ada@example.com", { role: "viewer" });
});

afterAll(async () => {
  await browser?.close();
  await service?.stop();
  await provider?.stop();
});

test("somebody signs in through an identity provider and ends at the page that they wanted", async () => {
  const { page, faults } = await visit(browser, service);
  await page.goto("/p/demo/groups");
  await page.getByText("Use an identity provider").click();
  await page.getByLabel("Provider").fill("corp");
  await page.getByRole("link", { name: "Continue" }).click();
  await page.locator('input[name="login"]').fill("ada");
  await page.locator('input[name="password"]').fill("anything");
  await page.locator('button[type="submit"]').click();
  // Consent, on a page of the same form.
  await page.locator('input[name="login"]').waitFor({ state: "detached" });
  await page.locator('button[type="submit"]').click();
  await page.waitForURL(`${service.url}/p/demo/groups`);
  await page.getByRole("heading", { name: "Groups" }).waitFor();
  const kept = await page.evaluate(
    () => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie + location.href,
  );
  expect(kept).not.toMatch(/eyJ|hwr_|hw_|code=/);

  await page.getByRole("button", { name: "ada@example.com" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Continue with corp" }).waitFor();
  expect(faults.filter((fault) => !fault.startsWith("asked "))).toEqual([]);
});

test("an address that names its provider offers it at once", async () => {
  const { page } = await visit(browser, service);
  await page.goto("/sign-in?provider=corp");
  await page.getByRole("link", { name: "Continue with corp" }).click();
  await page.waitForURL(`${provider.issuer}/**`);
});
