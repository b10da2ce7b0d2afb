// A client that is generated from openapi/quorate.yaml, and a program that uses it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import { createClient } from "@hey-api/openapi-ts";
import { build } from "esbuild";

import { Server } from "./harness/processes.mjs";
import { repository } from "./harness/repository.mjs";

const here = import.meta.dirname;

test("a generated client creates, reads, writes, deletes and watches", async (t) => {
  await createClient({
    input: repository("openapi/quorate.yaml"),
    output: { path: join(here, "client/generated"), importFileExtension: ".ts" },
    plugins: ["@hey-api/client-fetch", "@hey-api/sdk", "@hey-api/typescript"],
    logs: { level: "silent" },
  });
  // What the document promises has to be what the program may rely on.
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "--project", join(here, "client")], { stdio: ["ignore", "inherit", "inherit"] });
  const outfile = join(here, "client/program.mjs");
  await build({ entryPoints: [join(here, "client/program.ts")], outfile, bundle: true, format: "esm", platform: "node" });
  const { run } = await import(outfile);

  const server = await Server.start(t);
  const report = await run(server.http);
  assert.equal(report.created, "/app/config");
  assert.equal(report.read.data, "blue");
  assert.equal(report.read.stat.version, 0);
  assert.deepEqual(report.children, ["config"]);
  assert.equal(report.conflict.code, "BAD_VERSION");
  assert.equal(report.results, 3);
  assert.deepEqual(report.told, [
    "created /app",
    "created /app/config blue",
    "changed /app/config green",
    "created /app/jobs",
    "deleted /app/jobs",
    "deleted /app/config",
  ]);
});
