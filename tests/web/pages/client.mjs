// What a page needs to call Quorate by gRPC-Web: bundled, it is the script of the pages of these tests.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { WatchKind, WatchService } from "./generated/quorate/v1/watch_pb.js";
import { ZnodeService } from "./generated/quorate/v1/znode_pb.js";

const text = new TextDecoder();

/** Calls of the server at `baseUrl`, in words that can leave the page. */
globalThis.connect = (baseUrl) => {
  const transport = createGrpcWebTransport({ baseUrl });
  const znodes = createClient(ZnodeService, transport);
  const watches = createClient(WatchService, transport);

  /** What a call answers, or the name of its failure. */
  async function outcome(call) {
    try {
      return await call;
    } catch (error) {
      return Code[ConnectError.from(error).code];
    }
  }

  return {
    create: (path, data) =>
      outcome(znodes.create({ path, data: new TextEncoder().encode(data) }).then(({ path }) => path)),
    get: (path) => outcome(znodes.get({ path }).then(({ data }) => text.decode(data))),

    /** Watches a path and all below it until `count` events were told; `begun` is called when it has begun. */
    async subscribe(path, count, begun) {
      const told = [];
      const leave = new AbortController();
      const watch = { watchId: 1n, path, kind: WatchKind.RECURSIVE, withData: true };
      for await (const { items } of watches.subscribe({ watches: [watch] }, { signal: leave.signal })) {
        for (const { item } of items) {
          if (item.case === "created") begun();
          if (item.case === "events") told.push(...item.value.events.map((event) => `${event.path} ${text.decode(event.data)}`));
        }
        if (told.length >= count) break;
      }
      leave.abort();
      return told;
    },
  };
};
