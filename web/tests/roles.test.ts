import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, signIn, visit } from "./browser";
import { Service } from "./service";

let service: Service;
let browser: Browser;

beforeAll(async () => {
  service = await Service.start();
  browser = await launch();
  await service.api("PUT", "/projects/demo/topics/orders", { partitions: 1 });
});

afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

const READS = ["Overview", "Topics", "Groups", "Projects", "Members", "Quotas and usage"];

const ROLES = [
  { role: "viewer", places: READS, changesTopics: false, invites: false },
  { role: "developer", places: [...READS, "API keys"], changesTopics: true, invites: false },
  {
    role: "admin",
    places: [...READS, "API keys", "Issuers", "Audit log"],
    changesTopics: true,
    invites: true,
  },
  {
    role: "owner",
    places: [...READS, "API keys", "Issuers", "Audit log"],
    changesTopics: true,
    invites: true,
  },
];

test.each(ROLES)("a $role sees what a $role may", async ({ role, places, changesTopics, invites }) => {
  const who = await service.member(role);
  const { page, context, faults } = await visit(browser, service);
  await signIn(page, who);
  const links = await page.getByRole("navigation", { name: "Main" }).getByRole("link").allInnerTexts();
  expect(links.map((text) => text.trim()).sort()).toEqual([...places].sort());

  const shown = async (path: string, heading: string, button: string) => {
    await page.goto(path);
    await page.getByRole("heading", { name: heading, exact: true }).waitFor();
    await page.getByRole("table").first().waitFor();
    return (await page.getByRole("button", { name: button, exact: true }).count()) > 0;
  };
  expect(await shown("/p/demo/topics", "Topics", "Create topic")).toBe(changesTopics);
  expect(await shown("/o/demo/members", "Members", "Invite")).toBe(invites);
  await page.goto("/p/demo/topics/orders/settings");
  await page.getByRole("heading", { name: "Settings" }).waitFor();
  expect((await page.getByRole("button", { name: "Delete topic" }).count()) > 0).toBe(changesTopics);

  // An address typed by hand shows the refusal, not an empty page.
  if (!places.includes("Audit log")) {
    await page.goto("/o/demo/audit");
    await page.getByRole("alert").getByText("403 forbidden").waitFor();
  }
  await page.goto("/cluster");
  await page.getByRole("alert").waitFor();
  expect(faults).toEqual([]);
  await context.close();
});
