import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, signIn, visit } from "./browser";
import { Service } from "./service";

let service: Service;
let browser: Browser;
/** A service without groups answers 501, and the console says so. */
let built: boolean;

beforeAll(async () => {
  service = await Service.start();
  browser = await launch();
  await service.api("PUT", "/projects/demo/topics/orders", { partitions: 2 });
  const records = Array.from({ length: 30 }, (_, n) => ({ partition: n % 2, value: { n } }));
  await service.api("POST", "/projects/demo/topics/orders/records", { records });
  const listed = await service.api("GET", "/projects/demo/groups").then(() => "", String);
  expect(listed).toMatch(/^$|: 501 /);
  built = listed === "";
});

afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

test("a group is made, its lag is seen, and it is reset after a look at what would move", async () => {
  const { page, faults } = await visit(browser, service);
  await signIn(page, service.user);
  await page.getByRole("link", { name: "Groups" }).click();
  if (!built) {
    await page.getByText("This service does not have it yet").waitFor();
    expect(await page.getByRole("button", { name: "Create group" }).count()).toBe(0);
    return;
  }
  await page.getByRole("button", { name: "Create group" }).click();
  await page.getByLabel("Name").fill("billing");
  await page.getByLabel("Topics").fill("orders");
  await page.getByRole("dialog").getByRole("button", { name: "Create group" }).click();
  await page.waitForURL("**/groups/billing");
  const stat = (name: string) =>
    page.locator("#main p", { hasText: new RegExp(`^${name}$`) }).locator("xpath=following-sibling::p[1]");
  await expect.poll(() => stat("Lag").innerText()).toBe("30");

  const group = "/projects/demo/groups/billing";
  const { epoch } = (await service.api("PUT", `${group}/members/worker`, { lease_ms: 30_000 })) as {
    epoch: number;
  };
  const { cursor } = (await service.api("POST", `${group}/members/worker/poll`, {
    epoch,
    max_records: 500,
  })) as { cursor: string };
  await service.api("POST", `${group}/members/worker/poll`, { epoch, commit: cursor });
  await page.getByRole("cell", { name: "worker", exact: true }).waitFor();
  await expect.poll(() => stat("Lag").innerText(), { timeout: 20_000 }).toBe("0");

  await page.getByRole("button", { name: "Reset", exact: true }).click();
  const dialog = page.getByRole("dialog");
  const reset = dialog.getByRole("button", { name: "Reset", exact: true });
  await dialog.getByRole("button", { name: "Show what would move" }).click();
  await dialog.getByRole("row").filter({ hasText: "15" }).first().waitFor();
  expect(await reset.isEnabled()).toBe(false);
  expect(await stat("Lag").innerText()).toBe("0");
  await dialog.getByRole("checkbox").check();
  await reset.click();
  await expect.poll(() => stat("Lag").innerText(), { timeout: 20_000 }).toBe("30");
  expect(faults).toEqual([]);
});
