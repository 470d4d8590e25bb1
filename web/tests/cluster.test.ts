import type { Browser, Page } from "playwright-core";
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

const broker = (id: number, state: string, replicas: number) => ({
  id,
  state,
  leaders: replicas,
  replicas,
  hot_bytes: 4_096,
  last_seen: "2026-01-31T12:00:00.000Z",
});

/** One node has no brokers to lose: the cluster's answers are put in, and what the console asks is noted. */
async function withCluster(page: Page, brokers: unknown[], offline: number) {
  const asked: string[] = [];
  await page.route("**/v1/cluster**", async (route) => {
    const request = route.request();
    const { pathname, search } = new URL(request.url());
    if (request.method() !== "GET")
      asked.push(`${request.method()} ${pathname}${search} ${request.postData() ?? ""}`);
    if (pathname.endsWith("/elect")) {
      const election = { topic_id: "abc", partition: 4, leader_epoch: 5, given_up: [1], silent: [] };
      const lost = { from_offset: 40, known_to_offset: 43 };
      const candidates = [{ broker: 3, last_epoch: 4, log_start: 0, log_end: 40, lost }];
      const led = search.includes("dry_run") ? {} : { broker: 3 };
      return route.fulfill({ json: { ...election, candidates, ...led } });
    }
    if (request.method() === "DELETE") return route.fulfill({ status: 204 });
    return route.fulfill({ json: { cluster_id: "c", brokers, under_replicated: 0, offline, moves: [] } });
  });
  return asked;
}

test("a broker that is drained and stopped is removed, after its number is typed", async () => {
  const { page, faults } = await visit(browser, service);
  const asked = await withCluster(
    page,
    [broker(1, "live", 9), broker(2, "draining", 3), broker(3, "fenced", 0)],
    0,
  );
  await signIn(page, service.user);
  await page.goto("/cluster");
  await page.getByRole("button", { name: "Remove" }).click();
  const dialog = page.getByRole("dialog", { name: "Remove broker 3?" });
  expect(await dialog.getByRole("button", { name: "Remove" }).isEnabled()).toBe(false);
  await dialog.getByRole("textbox").fill("3");
  await dialog.getByRole("button", { name: "Remove" }).click();
  await page.getByText("Broker 3 is removed.").first().waitFor();
  expect(asked).toEqual(["DELETE /v1/cluster/brokers/3 "]);
  expect(faults).toEqual([]);
});

test("a copy leads that lacks records only after a look at what is lost, and a word that it may be", async () => {
  const { page, faults } = await visit(browser, service);
  const asked = await withCluster(page, [broker(3, "live", 1)], 1);
  await signIn(page, service.user);
  await page.goto("/cluster");
  await page.getByRole("button", { name: "They are lost for good" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Topic id").fill("abc");
  await dialog.getByLabel("Partition").fill("4");
  await dialog.getByRole("button", { name: "Show what would be lost" }).click();
  await dialog.getByText("Lost: from 40 to 43, and what nobody knows of.").waitFor();
  await dialog.getByRole("radio").check();
  const lead = dialog.getByRole("button", { name: "Have broker 3 lead" });
  expect(await lead.isEnabled()).toBe(false);
  await dialog.getByRole("checkbox").check();
  await lead.click();
  await page.getByText("Broker 3 leads partition 4 in epoch 5.").first().waitFor();
  const elect = "POST /v1/cluster/partitions/abc/4/elect";
  expect(asked).toEqual([`${elect}?dry_run=true {}`, `${elect} {"broker":3,"accept_loss":true}`]);
  expect(faults).toEqual([]);
});
