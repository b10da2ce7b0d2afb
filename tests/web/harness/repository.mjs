// Where the repository is: the tests run in a copy of their directory, beside which nothing is written.

import { join } from "node:path";

/** A file of the repository. */
export function repository(path) {
  const root = process.env.QUORATE_REPOSITORY;
  if (!root) throw new Error("QUORATE_REPOSITORY must name the repository's directory");
  return join(root, path);
}
