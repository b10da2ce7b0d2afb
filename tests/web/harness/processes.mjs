// Real processes of Quorate: servers, ensembles and gateways, each with its data in a directory of its own. All of them
// end with the test, and if that has failed, what they had to say is shown.

import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Longer than anything takes that a test waits for. */
export const PATIENCE_MS = 60_000;

/** The program under test. */
function program() {
  const path = process.env.QUORATE_BIN;
  if (!path) throw new Error("QUORATE_BIN must name the program to test");
  return path;
}

/** One process, and what it said about its doors when they were open. */
class Process {
  #child;
  #log;
  addresses;

  async begin(home, args) {
    this.#log = join(home, "log");
    const log = openSync(this.#log, "a");
    const environment = Object.entries(process.env).filter(([name]) => !name.startsWith("QUORATE_"));
    const options = { cwd: home, env: Object.fromEntries(environment), stdio: ["ignore", "pipe", log] };
    this.#child = spawn(program(), [...args, "--print-addresses", "json"], options);
    const ended = new Promise((_, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", (code) => reject(new Error(`it has ended with ${code}:\n${this.log()}`)));
    });
    // Somebody is told of it only while the doors are awaited.
    ended.catch(() => {});
    const line = (async () => {
      for await (const line of createInterface({ input: this.#child.stdout })) return line;
    })();
    this.addresses = JSON.parse(await within(Promise.race([line, ended]), "the doors are open"));
  }

  get pid() {
    return this.#child.pid;
  }

  log() {
    return readFileSync(this.#log, "utf8");
  }

  /** Sends a signal, and waits for the end of the process. */
  async end(signal) {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill(signal);
    await within(ended, `the process ends after ${signal}`);
  }
}

/** A server alone, or a gateway: a process that can be ended, and started again at the same addresses. */
export class Server {
  #home = mkdtempSync(join(tmpdir(), "quorate-web-"));
  #process;
  #arguments;

  /** Starts a server alone. `t` is the test, with whose end it ends. */
  static async start(t, { args = [] } = {}) {
    return new Server()._start(t, ["serve", "--data-dir", "data", "--grpc", "127.0.0.1:0", ...args]);
  }

  /** Starts a gateway before the servers at these addresses. */
  static async gateway(t, servers, { args = [] } = {}) {
    return new Server()._start(t, ["gateway", "--server", servers.join(","), ...args]);
  }

  async _start(t, args) {
    this.#arguments = args;
    t.after(async () => {
      await this.kill();
      if (t.passed === false) console.error(this.#process.log());
      rmSync(this.#home, { recursive: true, force: true });
    });
    await this.#begin("127.0.0.1:0");
    return this;
  }

  async #begin(http) {
    this.#process = new Process();
    await this.#process.begin(this.#home, [...this.#arguments, "--http", http]);
  }

  get http() {
    return `http://${this.#process.addresses.http}`;
  }

  get grpc() {
    return `http://${this.#process.addresses.grpc}`;
  }

  log() {
    return this.#process.log();
  }

  /** As `kill -9` does. */
  async kill() {
    await this.#process?.end("SIGKILL");
  }

  /** Starts it again, with the data that it has, and its HTTP door where it was. */
  async restart() {
    await this.#begin(this.#process.addresses.http);
  }
}

/** Several servers on this host, and which of them leads. */
export class Ensemble {
  #home = mkdtempSync(join(tmpdir(), "quorate-web-"));
  #process = new Process();

  static async start(t) {
    const ensemble = new Ensemble();
    t.after(async () => {
      // It ends its servers when it is told to stop, and they would outlive it if it were killed.
      await ensemble.#process.end("SIGTERM");
      rmSync(ensemble.#home, { recursive: true, force: true });
    });
    const args = ["dev-cluster", "--servers", "3", "--data-dir", "data", "--base-port", "0"];
    await ensemble.#process.begin(ensemble.#home, args);
    return ensemble;
  }

  /** Its servers, as `--print-addresses json` describes them. */
  get servers() {
    return this.#process.addresses;
  }

  /** Kills the leader as `kill -9` does. */
  async killLeader() {
    const cluster = await (await fetch(`http://${this.servers[0].http}/v1/cluster`)).json();
    const leader = this.servers.find((server) => server.server_id === cluster.leader_id);
    process.kill(leader.pid, "SIGKILL");
  }
}

/** What `promise` becomes; fails if that takes longer than anything should. */
export async function within(promise, what, milliseconds = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited too long: ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks again and again until `look` finds something. */
export async function until(what, look, milliseconds = PATIENCE_MS) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited too long: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
