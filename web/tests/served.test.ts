import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Service } from "./service";

const SITE = new URL("../dist/site/", import.meta.url).pathname;
const FIRST_LOAD_BYTES_MAX = 250_000;

let service: Service;

beforeAll(async () => {
  service = await Service.start();
});

afterAll(() => service?.stop());

const get = (path: string, headers: Record<string, string> = {}) => fetch(service.url + path, { headers });

test("every page's address answers with the document, and its policy allows no inline scripts", async () => {
  for (const path of [
    "/",
    "/sign-in",
    "/join",
    "/cluster",
    "/p/demo/topics/orders.v1?from=earliest",
    "/o/demo/audit",
  ]) {
    const answer = await get(path);
    expect(answer.status, path).toBe(200);
    expect(answer.headers.get("content-type")).toContain("text/html");
    expect(answer.headers.get("cache-control")).toBe("no-cache");
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    const policy = answer.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("frame-ancestors 'none'");
  }
});

test("what is missing is missing: assets and calls do not become the document", async () => {
  for (const path of [
    "/assets/absent.js",
    "/nowhere",
    "/favicon.ico",
    "/v1/absent",
    "/v1/projects/demo/absent",
  ]) {
    const answer = await get(path);
    expect(answer.status, path).toBeGreaterThanOrEqual(400);
    expect(answer.headers.get("content-type"), path).toBe("application/problem+json");
  }
});

test("assets are kept for ever and come compressed", async () => {
  const document = await (await get("/")).text();
  const script = /src="(\/assets\/[\w.-]+\.js)"/.exec(document)?.[1] ?? "none";
  const content = await (await get(script, { "Accept-Encoding": "identity" })).text();
  expect(content.length).toBeGreaterThan(10_000);
  for (const encoding of ["br", "gzip", "identity"]) {
    const answer = await get(script, { "Accept-Encoding": encoding });
    expect(answer.headers.get("cache-control")).toContain("immutable");
    expect(answer.headers.get("content-encoding")).toBe(encoding === "identity" ? null : encoding);
    expect(await answer.text()).toBe(content);
  }
});

test("the first page's scripts are below 250 kB compressed", () => {
  const files = readdirSync(join(SITE, "assets"));
  const text = (name: string) => readFileSync(join(SITE, "assets", name), "utf8");
  // All that the document names, with what the overview, the first page, brings.
  const wanted = new Set(
    [...readFileSync(join(SITE, "index.html"), "utf8").matchAll(/assets\/([\w.-]+\.js)/g)].map(
      (match) => match[1]!,
    ),
  );
  for (const name of files) if (/^(overview|chart|palette)-.*\.js$/.test(name)) wanted.add(name);
  for (const name of wanted) {
    for (const [, imported] of text(name).matchAll(/from"\.\/([\w.-]+\.js)"/g)) wanted.add(imported!);
  }
  expect(wanted.size).toBeGreaterThan(3);
  const bytes = [...wanted].reduce((sum, name) => sum + gzipSync(text(name), { level: 9 }).length, 0);
  expect(bytes).toBeLessThan(FIRST_LOAD_BYTES_MAX);
});
