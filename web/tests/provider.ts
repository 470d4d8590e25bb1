import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { freePort } from "./service";

const DIRECTORY = new URL("../../api/tests/service/oidc/provider/", import.meta.url).pathname;

/** The identity provider of the service's own tests, on a port of its own. */
export class Provider {
  private constructor(
    private readonly process: ChildProcess,
    readonly issuer: string,
  ) {}

  static async start(redirect: string): Promise<Provider> {
    if (!existsSync(`${DIRECTORY}node_modules/.package-lock.json`)) {
      execFileSync("npm", ["ci"], { cwd: DIRECTORY, stdio: "inherit" });
    }
    const port = await freePort();
    const child = spawn("node", ["provider.mjs"], {
      cwd: DIRECTORY,
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, PORT: String(port), REDIRECT_URIS: redirect },
    });
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const issuer = `http://127.0.0.1:${port}`;
    if (line !== `listening on ${issuer}`) throw new Error(`the provider said ${line}`);
    return new Provider(child, issuer);
  }

  async stop() {
    this.process.kill("SIGKILL");
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, "exit");
  }

  /** As the file of `--oidc-file` names it. */
  settings(name: string): string {
    return `[${name}]\nissuer = "${this.issuer}"\nclient_id = "headwater"\nclient_secret = "a secret of the tests"\n`;
  }
}
