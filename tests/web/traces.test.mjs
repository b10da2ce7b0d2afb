// A trace that begins elsewhere: what is logged of a request can be found by it, in the gateway and in the server.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Server } from "./harness/processes.mjs";

test("a request's traceparent stands in the logs of the gateway and of the server", async (t) => {
  const server = await Server.start(t, { args: ["--log", "quorate=debug,quorate_gateway=debug"] });
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  for (const method of ["PUT", "GET"]) {
    const before = server.log().length;
    const answer = await fetch(`${server.http}/v1/znodes/app`, { method, headers: { traceparent } });
    assert.ok(answer.ok, `${method}: ${answer.status}`);
    const lines = server.log().slice(before).split("\n").filter((line) => line.includes(traceparent));
    const logs = lines.map((line) => line.match(/(quorate_gateway|quorate)::/)?.[1]);
    assert.deepEqual(logs.toSorted(), ["quorate", "quorate_gateway"], `${method}: ${lines.join("\n")}`);
  }
});
