import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, signIn, visit } from "./browser";
import { Service } from "./service";

let service: Service;
let browser: Browser;

/** Would run if any page took it for markup. */
const SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>";

beforeAll(async () => {
  service = await Service.start();
  browser = await launch();
  await service.api("PATCH", "/organizations/demo", { name: SCRIPT });
  await service.api("PATCH", "/projects/demo", { name: SCRIPT });
  await service.api("PUT", "/projects/demo/topics/orders", { partitions: 3, description: SCRIPT });
  await service.api("POST", "/projects/demo/topics/orders/records", {
    records: [
      {
        key: SCRIPT,
        partition: 0,
        value: { [SCRIPT]: SCRIPT, list: [1, true, null] },
        headers: { [SCRIPT]: SCRIPT },
      },
      { value_text: SCRIPT, partition: 1 },
      { key: "k", value: null, partition: 2 },
    ],
  });
  await service.api("PUT", "/projects/demo/topics/dead", { partitions: 1 });
  await service.api("PUT", "/projects/demo/groups/mailer", {
    topics: ["orders"],
    type: "shared",
    dead_letter_topic: "dead",
  });
  const leased = (await service.api("POST", "/projects/demo/groups/mailer/lease", { max_records: 1 })) as {
    records: { lease: string }[];
  };
  await service.api("POST", "/projects/demo/groups/mailer/settle", {
    reject: leased.records.map(({ lease }) => ({ lease, reason: SCRIPT })),
  });
  await service.api("PUT", "/organizations/demo/issuers/corp", {
    issuer: `${service.url}/absent`,
    audience: SCRIPT,
    rules: [{ claim: SCRIPT, value: SCRIPT, role: "viewer" }],
  });
  await service.api("PUT", "/projects/demo/keys/shop", { scopes: [{ operations: ["fetch"], topic: "*" }] });
  await service.api("PUT", "/organizations/demo/members/ana@example.com", { role: "viewer" });
});

afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

const PAGES: [path: string, shown: string][] = [
  ["/p/demo", "headwater_http_requests_total"],
  ["/p/demo/topics", "orders"],
  ["/p/demo/topics/orders", "records read"],
  ["/p/demo/topics/orders?record=%220%3A0%22", "Headers"],
  ["/p/demo/topics/orders?text=zzz&from=earliest", "Nothing matches"],
  ["/p/demo/topics/orders/throughput", "Retention levels off at"],
  ["/p/demo/topics/orders/partitions", "Short of replicas"],
  ["/p/demo/topics/orders/settings", "Delete this topic"],
  ["/p/demo/topics/absent", "Topic not found"],
  ["/p/demo/groups", "mailer"],
  ["/p/demo/groups/mailer", "In flight"],
  ["/p/demo/groups/mailer?letter=%220%3A0%22", "headwater-reason"],
  ["/p/demo/keys", "shop"],
  ["/o/demo/projects", "Projects"],
  ["/o/demo/members", "ana@example.com"],
  ["/o/demo/issuers", SCRIPT],
  ["/o/demo/usage", "Live tails"],
  ["/o/demo/audit", "ensureTopic"],
  ["/cluster", "Brokers"],
  ["/profile", "Current password"],
  ["/p/demo/nowhere", "There is no such page"],
];

async function serious(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary ?? ""}`),
    );
}

test.concurrent.each(["light", "dark"] as const)(
  "no page has a serious fault of accessibility, nor runs what is stored (%s)",
  async (theme) => {
    const { page, context, faults } = await visit(browser, service, theme);
    await page.goto("/sign-in");
    await page.getByLabel("Email").waitFor();
    expect(await serious(page), "/sign-in").toEqual([]);
    await signIn(page, service.user);
    for (const [path, shown] of PAGES) {
      await page.goto(path);
      await page
        .locator("#main")
        .getByText(shown)
        .or(page.getByRole("dialog").getByText(shown))
        .first()
        .waitFor();
      await page.locator(".animate-pulse").first().waitFor({ state: "detached" });
      expect(await serious(page), path).toEqual([]);
    }
    await page.goto("/p/demo/topics/orders");
    for (const name of ["Produce", "Upload NDJSON"]) {
      await page.getByRole("button", { name, exact: true }).click();
      await page.getByRole("dialog").waitFor();
      expect(await serious(page), name).toEqual([]);
      await page.keyboard.press("Escape");
    }
    await page.goto("/o/demo/issuers");
    await page.getByRole("button", { name: "Change corp" }).click();
    await page.getByRole("dialog").waitFor();
    expect(await serious(page), "issuer").toEqual([]);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await page.getByRole("option").first().waitFor();
    expect(await serious(page), "palette").toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  },
);

test("what is stored shows as text", async () => {
  const { page, context, faults } = await visit(browser, service);
  await signIn(page, service.user);
  await page.getByRole("heading", { name: SCRIPT }).waitFor();
  await page.goto("/p/demo/topics/orders?record=%220%3A0%22");
  const drawer = page.getByRole("dialog");
  // The key, the header's name and value; the tree's member and its value.
  await drawer.getByText(SCRIPT).nth(4).waitFor();
  await drawer.getByRole("button", { name: "Hex" }).click();
  await drawer.getByText("<script>alert(1)").first().waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

test("the keyboard suffices to go somewhere", async () => {
  const { page, context } = await visit(browser, service);
  await signIn(page, service.user);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Go to" }).waitFor();
  await page.getByRole("option", { name: "orders" }).waitFor();
  await page.keyboard.type("orders");
  await page.locator('[role="option"][aria-selected="true"]', { hasText: "orders" }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/topics/orders");
  await context.close();
});
