import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, signIn, visit } from "./browser";
import { Service } from "./service";

let service: Service;
let browser: Browser;

beforeAll(async () => {
  service = await Service.start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

test("an issuer is trusted, changed and trusted no more", async () => {
  const { page, faults } = await visit(browser, service);
  await signIn(page, service.user);
  await page.getByRole("link", { name: "Issuers" }).click();
  await page.getByRole("button", { name: "Trust an issuer" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("corp");
  await dialog.getByLabel("Issuer", { exact: true }).fill(`${service.url}/absent`);
  await dialog.getByLabel("Value of rule 1").fill("data");
  await dialog.getByRole("button", { name: "Add rule" }).click();
  await dialog.getByLabel("Value of rule 2").fill("ops");
  await dialog.getByLabel("Role of rule 2").selectOption("admin");
  await dialog.getByRole("button", { name: "Trust it" }).click();
  await page.getByRole("cell", { name: "groups data: developer, groups ops: admin" }).waitFor();

  await page.getByRole("button", { name: "Change corp" }).click();
  await dialog.getByRole("button", { name: "Remove rule 1" }).click();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("cell", { name: "groups ops: admin", exact: true }).waitFor();
  expect(await service.api("GET", "/organizations/demo/issuers/corp")).toMatchObject({
    audience: "headwater",
    rules: [{ claim: "groups", value: "ops", role: "admin" }],
  });

  await page.getByRole("button", { name: "Delete corp" }).click();
  await dialog.getByRole("button", { name: "Delete issuer" }).click();
  await page.getByText("No issuers yet").waitFor();
  expect(faults).toEqual([]);
});

test("the search and the sort of topics are in the address", async () => {
  for (const [name, partitions] of [
    ["orders", 1],
    ["orders-late", 3],
    ["payments", 2],
  ] as const) {
    await service.api("PUT", `/projects/demo/topics/${name}`, { partitions });
  }
  const { page } = await visit(browser, service);
  await signIn(page, service.user);
  await page.goto("/p/demo/topics");
  await page.getByLabel("Search topics").fill("orders");
  await page.getByRole("button", { name: "Partitions" }).click();
  await page.getByRole("button", { name: "Partitions" }).click();
  await page.waitForURL(/q=orders&sort=partitions&desc=true/);
  const shown = () => page.getByRole("table").getByRole("link").allInnerTexts();
  await expect.poll(shown).toEqual(["orders-late", "orders"]);
  await page.reload();
  await expect.poll(shown).toEqual(["orders-late", "orders"]);
});

// The last: whoever signs in after it begins in another project.
test("an organization and its first project are made", async () => {
  const { page, faults } = await visit(browser, service);
  await signIn(page, service.user);
  await page.getByRole("button", { name: "Switch project" }).click();
  await page.getByRole("menuitem", { name: "Create organization" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Id").fill("acme");
  await dialog.getByLabel("Name").fill("Acme Ltd.");
  await dialog.getByRole("button", { name: "Create organization" }).click();
  await page.waitForURL("**/o/acme/projects");
  await page.getByText("No projects yet").waitFor();
  await page.getByRole("button", { name: "Create project" }).click();
  await dialog.getByLabel("Id").fill("acme-shop");
  await dialog.getByRole("button", { name: "Create project" }).click();
  await page.getByRole("link", { name: "acme-shop" }).click();
  await page.waitForURL("**/p/acme-shop");
  expect(faults).toEqual([]);
});
