import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY =
  process.env.CONSOLE_TEST_BINARY ?? new URL("../../target/debug/headwater", import.meta.url).pathname;
const START_WAIT_MS = 60_000;

export interface Credentials {
  email: string;
  password: string;
}

type Configure = (url: string, directory: string) => Promise<Record<string, string>>;

/** The real service on a directory and a port of its own, with the console in it. */
export class Service {
  private token = "";

  private constructor(
    private readonly process: ChildProcess,
    private readonly directory: string,
    readonly url: string,
    readonly user: Credentials,
  ) {}

  /** Starts one, with the settings that `configure` makes of its address and directory. */
  static async start(configure?: Configure): Promise<Service> {
    const directory = mkdtempSync(join(tmpdir(), "headwater-console-"));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const settings = await configure?.(url, directory);
    const args = ["dev", "--data-dir", directory, "--listen", `127.0.0.1:${port}`];
    const child = spawn(BINARY, args, {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, RUST_LOG: "warn", ...settings },
    });
    try {
      await answering(url, child);
      const { email, password } = JSON.parse(
        readFileSync(join(directory, "credentials.json"), "utf8"),
      ) as Credentials;
      const service = new Service(child, directory, url, { email, password });
      const session = await service.api("POST", "/sessions", service.user);
      service.token = (session as { access_token: string }).access_token;
      return service;
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  async stop() {
    this.process.kill("SIGTERM");
    if (this.process.exitCode === null) await once(this.process, "exit");
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A call below /v1 as the first user; throws what is no success. */
  async api(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`${this.url}/v1${path}`, {
      method,
      headers: {
        "Content-Type": "application/json",
        ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}),
      },
      body: typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  /** A new member of the organization `demo`. */
  async member(role: string): Promise<Credentials> {
    const email = `${role}@example.com`;
    const password = `a-good-password-of-${role}`;
    const { token } = (await this.api("PUT", `/organizations/demo/members/${email}`, { role })) as {
      token: string;
    };
    const accept = {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ password }),
    };
    const answer = await fetch(`${this.url}/v1/invitations/${token}/accept`, accept);
    if (!answer.ok) throw new Error(`the invitation: ${answer.status} ${await answer.text()}`);
    return { email, password };
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

async function answering(url: string, child: ChildProcess) {
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: cargo build --bin headwater`);
  for (const end = Date.now() + START_WAIT_MS; Date.now() < end;) {
    if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}`);
    const ready = await fetch(`${url}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the service does not become ready");
}
