// Server-sent events as those read them for whom they are made: EventSource in a browser, and curl. Whatever goes away and
// comes back meanwhile, each change is told to each of them once, in order.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { launch, serveEmptyPages } from "./harness/browser.mjs";
import { Ensemble, Server, until, within } from "./harness/processes.mjs";

/** Changes that are made while somebody is told of them. */
const CHANGES = 120;

/** Writes until it is done, and once, however often it has to be asked for. */
async function put(http, path, data) {
  const headers = { "idempotency-key": crypto.randomUUID() };
  await until(`${path} is written`, async () => {
    const written = await fetch(`${http}/v1/znodes${path}`, { method: "PUT", headers, body: data }).catch(() => null);
    const status = written?.status ?? 503;
    assert.ok([200, 201, 503, 504].includes(status), `${status}: ${await written?.text()}`);
    return status < 300;
  });
}

/** Opens a page that keeps what an EventSource tells it. */
async function openReader(browser, origin, url) {
  const page = await browser.newPage();
  await page.goto(origin);
  await page.evaluate((url) => {
    window.told = [];
    window.breaks = 0;
    const source = new EventSource(url);
    source.onerror = () => (window.breaks += 1);
    for (const kind of ["created", "changed", "deleted", "reset"]) {
      source.addEventListener(kind, (event) => window.told.push({ kind, id: event.lastEventId, data: event.data }));
    }
    return new Promise((resolve) => (source.onopen = resolve));
  }, url);
  return {
    told: () => page.evaluate(() => window.told.map(({ kind, data }) => `${kind} ${JSON.parse(data).data ?? ""}`)),
    breaks: () => page.evaluate(() => window.breaks),
  };
}

/** Reads with curl, again and again after each end, each time after the last event of the time before. */
class CurlReader {
  told = [];
  breaks = -1;
  #id = "";
  #child;
  #over = false;

  constructor(t, url) {
    t.after(() => this.#end());
    this.#read(url);
  }

  async #read(url) {
    while (!this.#over) {
      this.breaks += 1;
      const resume = this.#id === "" ? [] : ["--header", `Last-Event-ID: ${this.#id}`];
      const args = ["--silent", "--no-buffer", "--fail", ...resume, url];
      this.#child = spawn("curl", args, { stdio: ["ignore", "pipe", "ignore"] });
      let event = {};
      for await (const line of createInterface({ input: this.#child.stdout })) {
        const [, field, value] = line.match(/^(\w+): (.*)$/) ?? [];
        if (field) event[field] = value;
        if (line !== "") continue;
        this.#take(event);
        event = {};
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Takes an event, which is whole: what was cut off is told again. */
  #take({ event, id, data }) {
    this.#id = id ?? this.#id;
    if (event && event !== "bookmark") this.told.push(`${event} ${JSON.parse(data).data ?? ""}`);
  }

  #end() {
    this.#over = true;
    this.#child.kill();
  }
}

/** Changes a znode again and again, and lets things happen before some of the changes; all readers are told of all. */
async function followThrough(t, origin, http, happenings) {
  await put(http, "/app", "0");
  const url = `${http}/v1/watch?path=/app&data=true`;
  const page = await openReader(await launch(t), origin, url);
  const curl = new CurlReader(t, url);
  // Before curl has begun, nothing would be told to it.
  await until("curl reads", async () => (await metric(http, "quorate_gateway_event_streams")) === 2);
  for (let change = 1; change <= CHANGES; change += 1) {
    await happenings[change]?.();
    await put(http, "/app", String(change));
  }
  const expected = Array.from({ length: CHANGES }, (_, at) => `changed ${at + 1}`);
  await until("all is told", async () => (await page.told()).length >= CHANGES && curl.told.length >= CHANGES);
  assert.deepEqual(await page.told(), expected);
  assert.deepEqual(curl.told, expected);
  return { page: await page.breaks(), curl: curl.breaks };
}

/** A number that a server or a gateway counts. */
async function metric(http, name) {
  const text = await (await fetch(`${http}/metrics`)).text();
  const value = text.split("\n").find((line) => line.startsWith(`${name} `));
  assert.ok(value, `no ${name} in ${text}`);
  return Number(value.split(" ")[1]);
}

test("a server that is killed and comes back has told everything once", async (t) => {
  const origin = await serveEmptyPages(t);
  const server = await Server.start(t, { args: ["--cors-origins", origin] });
  const restart = async () => {
    await server.kill();
    await server.restart();
  };
  const breaks = await followThrough(t, origin, server.http, {
    30: restart,
    80: async () => {
      // The first time, they came back to what they had missed.
      await until("both read again", async () => (await metric(server.http, "quorate_gateway_event_streams")) === 2);
      await restart();
    },
  });
  // They were cut off, and came back by themselves.
  assert.ok(breaks.page >= 2 && breaks.curl >= 2, JSON.stringify(breaks));
});

test("neither a leader nor a gateway that is killed is noticed by those who read", async (t) => {
  const origin = await serveEmptyPages(t);
  const ensemble = await Ensemble.start(t);
  const servers = ensemble.servers.map((server) => server.grpc);
  const gateway = await Server.gateway(t, servers, { args: ["--cors-origins", origin] });
  const breaks = await followThrough(t, origin, gateway.http, {
    30: () => ensemble.killLeader(),
    80: async () => {
      await gateway.kill();
      await gateway.restart();
    },
  });
  // Of the leader's end they have seen nothing.
  assert.ok(breaks.page >= 1 && breaks.curl === 1, JSON.stringify(breaks));
});

test("a reader that stands still is given up alone", async (t) => {
  const origin = await serveEmptyPages(t);
  const server = await Server.start(t, { args: ["--cors-origins", origin, "--read-timeout-ms", "4000"] });
  await put(server.http, "/slow", "");
  const page = await openReader(await launch(t), origin, `${server.http}/v1/watch?path=/slow`);
  const args = ["--silent", "--no-buffer", `${server.http}/v1/watch?path=/slow&data=true`];
  const curl = spawn("curl", args, { stdio: ["ignore", "ignore", "ignore"] });
  t.after(() => curl.kill("SIGKILL"));
  const ended = new Promise((resolve) => curl.once("exit", resolve));
  const streams = () => metric(server.http, "quorate_gateway_event_streams");
  await until("curl reads", async () => (await streams()) === 2);
  curl.kill("SIGSTOP");

  let changes = 0;
  await until("its stream is given up", async () => {
    await put(server.http, "/slow", "x".repeat(500_000));
    changes += 1;
    return (await streams()) === 1;
  });
  await until("the page is told of all of them", async () => (await page.told()).length === changes);
  assert.equal(await page.breaks(), 0, "the page reads on as if nothing had been");
  assert.equal(await metric(server.http, "quorate_outboxes_lost_total"), 0);
  curl.kill("SIGCONT");
  await within(ended, "what is left of the stream ends");
});
