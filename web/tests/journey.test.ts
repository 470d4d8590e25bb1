import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, signIn, type Visit, visit } from "./browser";
import { Service } from "./service";

let service: Service;
let browser: Browser;
let seen: Visit;

beforeAll(async () => {
  service = await Service.start();
  browser = await launch();
  seen = await visit(browser, service);
});

afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

const BIG = "17123456789012345678901234567890";

test("from signing in to the audit log", async () => {
  const { page } = seen;
  const button = (name: string) => page.getByRole("button", { name, exact: true });
  const records = page.getByRole("table", { name: "Records" });
  const row = (text: string): Locator => records.getByRole("row").filter({ hasText: text });

  await signIn(page, service.user);

  await page.getByRole("link", { name: "Topics", exact: true }).click();
  await button("Create topic").click();
  await page.getByLabel("Name").fill("orders");
  await page.getByLabel("Partitions").fill("2");
  await page.getByRole("dialog").getByText('"partitions":2').waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Create topic" }).click();
  await page.waitForURL("**/topics/orders");
  await page.getByText("No records here").waitFor();

  // Live: what is produced shows by itself.
  await button("Live").click();
  await page.getByText("Waiting for records").waitFor();
  await button("Produce").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Key is").selectOption("text");
  await dialog.getByLabel("Key", { exact: true }).fill("c1");
  await dialog.locator(".cm-content").fill(`{"id": ${BIG}}`);
  await dialog.getByRole("button", { name: "Send" }).click();
  await row(BIG).waitFor();

  // Paused, it reads on later from where it was.
  await button("Pause").click();
  await service.api("POST", "/projects/demo/topics/orders/records", { records: [{ key: "c2", value: { state: "late" } }] });
  expect(await row("late").count()).toBe(0);
  await button("Resume").click();
  await row("late").waitFor();
  await button("Live").click();

  // A filter by path finds by every digit.
  await button("Filter").click();
  await page.getByLabel("JSON path").fill(`$.id == ${BIG}`);
  await button("Search").click();
  await page.getByText("1 of 2 records match").waitFor();
  expect(await row("late").count()).toBe(0);

  // The drawer, its link, and sending again byte for byte.
  await row(BIG).getByRole("button").click();
  const drawer = page.getByRole("dialog");
  await drawer.getByText(BIG).first().waitFor();
  await drawer.getByRole("button", { name: "Copy link" }).click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  await drawer.getByRole("button", { name: "Send again" }).click();
  await page.getByText("2 of 3 records match").waitFor();
  await page.goto(link);
  await page.getByRole("dialog").getByText(BIG).first().waitFor();
  const stored = await fetchText("/v1/projects/demo/topics/orders/records?from=earliest");
  expect(stored.split(`{"id": ${BIG}}`)).toHaveLength(3);

  // A key: its secret is shown, and works, this once.
  await page.getByRole("link", { name: "API keys" }).click();
  await button("Create key").click();
  await page.getByLabel("Name").fill("shop");
  await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
  const secret = await page.getByRole("dialog").locator("pre").first().innerText();
  await button("I have it").click();
  const answer = await fetch(`${service.url}/v1/projects/demo/topics`, { headers: { Authorization: `Bearer ${secret}` } });
  expect(answer.status).toBe(200);
  expect(await page.content()).not.toContain(secret);

  await page.getByRole("link", { name: "Audit log" }).click();
  await page.getByLabel("Action").fill("putKey");
  await button("Filter").click();
  await page.getByRole("cell", { name: "projects/demo/keys/shop" }).waitFor();

  // No token where scripts of others, or the history, could find it.
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie + location.href);
  expect(kept).not.toMatch(/eyJ|hwr_|hw_/);

  // A reload restores the session by the cookie; signing out ends it.
  await page.reload();
  await page.getByRole("heading", { name: "Audit log" }).waitFor();
  await page.getByRole("button", { name: service.user.email }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  expect(seen.faults).toEqual([]);
});

async function fetchText(path: string): Promise<string> {
  const session = (await service.api("POST", "/sessions", service.user)) as { access_token: string };
  return (await fetch(service.url + path, { headers: { Authorization: `Bearer ${session.access_token}` } })).text();
}
