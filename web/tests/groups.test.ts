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

test.each([true, false])(
  "letters are redriven in bulk only where the service says it can: %s",
  async (can) => {
    const { page, faults } = await visit(browser, service);
    const paths = can ? { "/groups/{group}/redrive": { post: {} } } : {};
    await page.route("**/openapi/streaming.json", (route) => route.fulfill({ json: { paths } }));
    const asked: unknown[] = [];
    await page.route("**/groups/mailer/redrive", (route) => {
      asked.push(route.request().postDataJSON());
      const first = asked.length % 2 === 1;
      const letters = first ? [] : [{ partition: 0, offset: 9, refusal: "its topic is deleted" }];
      const counts = { moved: 3, skipped: 1, refused: letters.length, left: first ? 7 : 0 };
      return route.fulfill({ json: { ...counts, letters, cursor: first ? "on" : null } });
    });
    await signIn(page, service.user);
    await page.goto("/p/demo/groups/mailer");
    await page.getByRole("button", { name: "Send back" }).waitFor();
    const redrive = page.getByRole("button", { name: "Redrive" });
    if (!can) {
      expect(await redrive.count()).toBe(0);
      return;
    }
    await redrive.click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Reason").fill("no address");
    expect(await dialog.getByRole("button", { name: "Move back" }).isEnabled()).toBe(false);
    await dialog.getByRole("button", { name: "Show what would move" }).click();
    await dialog.getByText("6 letters would move back, 2 left out by the filter.").waitFor();
    await dialog.getByText("1 letter cannot be moved: its topic is deleted").waitFor();
    await dialog.getByRole("button", { name: "Move back" }).click();
    await dialog.getByText("6 letters moved back").waitFor();
    const filter = { reason: "no address" };
    expect(asked).toEqual([
      { filter, dry_run: true },
      { filter, dry_run: true, cursor: "on" },
      { filter, dry_run: false },
      { filter, dry_run: false, cursor: "on" },
    ]);
    expect(faults).toEqual([]);
  },
);
