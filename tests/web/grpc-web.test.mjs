// The gRPC door from a page in a browser: calls, a stream of events, and who may.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { before, test } from "node:test";

import { build } from "esbuild";

import { launch, serveEmptyPages } from "./harness/browser.mjs";
import { Server, until, within } from "./harness/processes.mjs";
import { repository } from "./harness/repository.mjs";

const here = import.meta.dirname;

/** The script of the pages. */
let script;

before(async () => {
  const plugins = [join(here, "node_modules/.bin"), process.env.PATH].join(delimiter);
  const proto = repository("proto");
  const args = ["generate", proto, "--path", join(proto, "quorate/v1"), "--template", join(here, "buf.gen.yaml")];
  execFileSync("buf", args, { cwd: here, env: { ...process.env, PATH: plugins }, stdio: "inherit" });
  const bundle = { entryPoints: [join(here, "pages/client.mjs")], bundle: true, format: "iife", write: false };
  script = (await build(bundle)).outputFiles[0].text;
});

async function openPage(browser, origin) {
  const page = await browser.newPage();
  await page.goto(origin);
  return page;
}

test("a page of a named origin calls, and is told of events as they happen", async (t) => {
  const origin = await serveEmptyPages(t, script);
  const server = await Server.start(t, { args: ["--cors-origins", origin] });
  const page = await openPage(await launch(t), origin);
  const call = (method, ...args) =>
    page.evaluate(([url, method, args]) => connect(url)[method](...args), [server.grpc, method, args]);

  assert.equal(await call("create", "/app", "blue"), "/app");
  assert.equal(await call("get", "/app"), "blue");
  assert.equal(await call("get", "/nothing"), "NotFound");

  let tell;
  const begun = new Promise((resolve) => (tell = resolve));
  await page.exposeFunction("begun", () => tell());
  const watching = page.evaluate((url) => connect(url).subscribe("/app", 3, () => window.begun()), server.grpc);
  await within(begun, "the watch begins");
  for (const name of ["a", "b", "c"]) assert.equal(await call("create", `/app/${name}`, name), `/app/${name}`);
  assert.deepEqual(await within(watching, "all is told"), ["/app/a a", "/app/b b", "/app/c c"]);
  // The page has left the stream, and the server knows.
  await until("the watch ends", async () => {
    const cluster = await (await fetch(`${server.http}/v1/cluster`)).json();
    return cluster.watches === 0;
  });
});

test("a page of any other origin may not call", async (t) => {
  const [named, other] = [await serveEmptyPages(t, script), await serveEmptyPages(t, script)];
  const server = await Server.start(t, { args: ["--cors-origins", named] });
  const page = await openPage(await launch(t), other);
  const refused = await page.evaluate((url) => connect(url).create("/app", "x"), server.grpc);
  // A browser does not tell a page why.
  assert.equal(refused, "Unknown");
  // Nor does what needs no permission to be sent, as the form of a page does.
  const sent = await page.evaluate(async (url) => {
    const answer = await fetch(`${url}/quorate.v1.ZnodeService/Create`, { method: "POST", mode: "no-cors", body: "x" });
    return answer.type;
  }, server.grpc);
  assert.equal(sent, "opaque");
  assert.equal((await fetch(`${server.http}/v1/znodes/app`)).status, 404);
});
