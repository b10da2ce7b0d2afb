// A program as somebody would write it who knows nothing of Quorate but the client that was generated for them: it creates,
// reads, writes and deletes a znode, and is told of all that by long polls.

import { createClient } from "./generated/client/index.ts";
import {
  createZnode, deleteZnode, getZnode, listChildren, multi, putZnode, watch,
} from "./generated/sdk.gen.ts";
import type { Event, Problem, Told, Written, Znode } from "./generated/types.gen.ts";

/** What came of it. */
export interface Report {
  created: string;
  read: Znode;
  children: string[];
  conflict: Problem;
  results: number;
  told: string[];
}

/** Does it all through the server at `baseUrl`. */
export async function run(baseUrl: string): Promise<Report> {
  const client = createClient({ baseUrl, throwOnError: true });
  const path = "app/config";
  const begun = await watch({ client, query: { path: ["/app"], recursive: true, data: true, wait: "10ms" } });

  const made = await createZnode({
    client,
    throwOnError: true,
    path: { path },
    query: { parents: true },
    body: { data: "blue", encoding: "utf8" },
  });
  const read = await getZnode({ client, path: { path }, headers: { Accept: "application/vnd.quorate+json" } });
  const { stat } = read.data as Znode;
  const written = await putZnode({
    client,
    path: { path },
    headers: { "If-Match": `"${stat.mzxid}"` },
    body: { data: "green", encoding: "utf8" },
  });
  // What it was read with is not what it is any more.
  const conflict = await putZnode({
    client: createClient({ baseUrl }),
    path: { path },
    headers: { "If-Match": `"${stat.mzxid}"` },
    body: { data: "red", encoding: "utf8" },
  });
  const made2 = await multi({
    client,
    body: {
      operations: [
        { op: "check", path: "/app/config", version: (written.data as Written).stat.version },
        { op: "create", path: "/app/jobs", data: null },
        { op: "delete", path: "/app/jobs" },
      ],
    },
  });
  const children = await listChildren({
    client,
    throwOnError: true,
    path: { path: "app" },
    query: { with: "stat" },
  });
  await deleteZnode({ client, path: { path } });

  const told: string[] = [];
  for (let from = next(begun.data); !told.includes("deleted /app/config");) {
    const more = await watch({ client, query: { path: ["/app"], recursive: true, data: true, wait: "20s", from } });
    told.push(...events(more.data).map((event) => [event.type, event.path, event.data].filter(Boolean).join(" ")));
    from = next(more.data);
  }
  return {
    created: made.data.path,
    read: read.data as Znode,
    children: children.data.children.map((child) => child.name),
    conflict: conflict.error as Problem,
    results: (made2.data as { results: unknown[] }).results.length,
    told,
  };
}

/** A long poll's document, among all that a watch may answer. */
interface Document {
  events: Told[];
  next: string | null;
}

function next(answer: unknown): string {
  const { next } = answer as Document;
  if (next === null) throw new Error("a poll says where to go on");
  return next;
}

function events(answer: unknown): Event[] {
  return (answer as Document).events.filter((told): told is Event => "path" in told);
}
