import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, signIn, visit } from "./browser";
import { Service } from "./service";

/** More digits than a number of JavaScript has. */
const BIG = "17123456789012345678901234567890";

let service: Service;
let browser: Browser;

beforeAll(async () => {
  service = await Service.start();
  browser = await launch();
  await service.api("PUT", "/projects/demo/topics/orders", { partitions: 2 });
  const records = Array.from({ length: 30 }, (_, n) => ({ partition: n % 2, value: { n } }));
  await service.api("POST", "/projects/demo/topics/orders/records", { records });
});

afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

/** The number that stands under a name. */
const statOf = (page: Page, name: string) =>
  page.locator("#main p", { hasText: new RegExp(`^${name}$`) }).locator("xpath=following-sibling::p[1]");

test("a group is made, its lag is seen, and it is reset after a look at what would move", async () => {
  const { page, faults } = await visit(browser, service);
  await signIn(page, service.user);
  await page.getByRole("link", { name: "Groups" }).click();
  await page.getByRole("button", { name: "Create group" }).click();
  await page.getByLabel("Name").fill("billing");
  await page.getByLabel("Topics").fill("orders");
  await page.getByRole("dialog").getByRole("button", { name: "Create group" }).click();
  await page.waitForURL("**/groups/billing");
  const stat = (name: string) => statOf(page, name);
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

test("a shared group shows its work, and a dead letter is read and sent back", async () => {
  const project = "/projects/demo";
  await service.api("PUT", `${project}/topics/mails`, { partitions: 1 });
  await service.api("PUT", `${project}/topics/mails.dead`, { partitions: 1 });
  const spec = { topics: ["mails"], type: "shared", max_attempts: 3, dead_letter_topic: "mails.dead" };
  const group = `${project}/groups/mailer`;
  await service.api("PUT", group, spec);
  const value = (id: string) => `{"key":"${id}","value":{"id":${id}},"headers":{"trace":"t"}}`;
  const ids = ["1", "2", BIG];
  await service.api("POST", `${project}/topics/mails/records`, `{"records":[${ids.map(value).join(",")}]}`);
  const { records } = (await service.api("POST", `${group}/lease`, { max_records: 3 })) as {
    records: { lease: string }[];
  };
  const [, second, third] = records.map(({ lease }) => lease);
  await service.api("POST", `${group}/settle`, {
    nack: [{ lease: second, delay_ms: 60_000, reason: "later" }],
    reject: [{ lease: third, reason: "no address" }],
  });

  const { page, faults } = await visit(browser, service);
  await signIn(page, service.user);
  await page.goto("/p/demo/groups/mailer");
  await expect.poll(() => statOf(page, "In flight").innerText()).toBe("1");
  expect(await statOf(page, "Waiting").innerText()).toBe("1");
  const letters = page.getByRole("table", { name: "Dead letters" });
  await letters
    .getByRole("row")
    .filter({ hasText: "no address" })
    .getByRole("button", { name: "Open" })
    .click();
  const drawer = page.getByRole("dialog");
  await drawer.getByText(BIG).first().waitFor();
  await page.waitForURL(/letter=/);
  await drawer.getByRole("button", { name: "Close" }).click();
  await letters.getByRole("button", { name: "Send back" }).click();
  await page
    .getByText(/^Sent back/)
    .first()
    .waitFor();

  await page.goto("/p/demo/topics/mails");
  await page.getByText("4 records read").waitFor();
  await page
    .getByRole("table", { name: "Records" })
    .getByRole("row")
    .filter({ hasText: BIG })
    .nth(1)
    .waitFor();
  expect(faults).toEqual([]);
});

test("dead letters are redriven in bulk, as far as a filter names them, after a look at how many", async () => {
  const project = "/projects/demo";
  await service.api("PUT", `${project}/topics/calls`, { partitions: 1 });
  await service.api("PUT", `${project}/topics/calls.dead`, { partitions: 1 });
  const spec = { topics: ["calls"], type: "shared", dead_letter_topic: "calls.dead" };
  const group = `${project}/groups/caller`;
  await service.api("PUT", group, spec);
  const records = ["1", "2", "3"].map((key) => ({ key, value: key }));
  await service.api("POST", `${project}/topics/calls/records`, { records });
  const leased = (await service.api("POST", `${group}/lease`, { max_records: 3 })) as {
    records: { lease: string }[];
  };
  const reasons = ["no answer", "no answer", "wrong number"];
  const reject = leased.records.map(({ lease }, at) => ({ lease, reason: reasons[at] }));
  await service.api("POST", `${group}/settle`, { reject });

  const { page, faults } = await visit(browser, service);
  await signIn(page, service.user);
  await page.goto("/p/demo/groups/caller");
  await page.getByText("wrong number").waitFor();
  await page.getByRole("button", { name: "Redrive" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("no answer");
  expect(await dialog.getByRole("button", { name: "Move back" }).isEnabled()).toBe(false);
  await dialog.getByRole("button", { name: "Show what would move" }).click();
  await dialog.getByText("2 letters would move back, 1 left out by the filter.").waitFor();
  await dialog.getByRole("button", { name: "Move back" }).click();
  await dialog.getByText("2 letters moved back, 1 left out by the filter.").waitFor();
  await dialog.getByRole("button", { name: "Done" }).click();

  await page.goto("/p/demo/topics/calls");
  await page.getByText("5 records read").waitFor();
  expect(faults).toEqual([]);
});
