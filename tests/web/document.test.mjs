// What Quorate says of its HTTP door in openapi/quorate.yaml: it is well-formed, and it is true.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import { Server } from "./harness/processes.mjs";
import { repository } from "./harness/repository.mjs";

const here = import.meta.dirname;
const document = repository("openapi/quorate.yaml");

/** Runs a program to its end; fails with what it said if it does. */
async function run(program, args) {
  const told = { PYTHONPATH: here, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const options = { cwd: here, env: { ...process.env, ...told }, stdio: ["ignore", "pipe", "pipe"] };
  const child = spawn(program, args, options);
  const said = [];
  child.stdout.on("data", (piece) => said.push(piece));
  child.stderr.on("data", (piece) => said.push(piece));
  const status = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const text = Buffer.concat(said).toString();
  assert.equal(status, 0, text);
  return text;
}

test("the document is as documents should be", async () => {
  const redocly = createRequire(import.meta.url).resolve("@redocly/cli/bin/cli.js");
  await run(process.execPath, [redocly, "lint", "--config", join(here, "redocly.yaml"), document]);
});

test("whatever is asked by the document, or against it, is answered as it says", async (t) => {
  const server = await Server.start(t);
  const told = await run("schemathesis", [
    "--config-file", join(here, "schemathesis.toml"), "run", document, "--url", server.http,
  ]);
  const cases = Number(told.match(/(\d+) generated/)?.[1]);
  assert.ok(cases > 500, `only ${cases} cases:\n${told}`);
  const report = process.env.QUORATE_TEST_REPORT;
  if (report) appendFileSync(report, `schemathesis: ${cases} requests by the OpenAPI document, or against it\n`);
});
