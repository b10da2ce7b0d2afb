// A real browser, and pages for it that are of an origin of their own.

import { accessSync, constants } from "node:fs";
import { createServer } from "node:http";
import { delimiter, join } from "node:path";

import { chromium } from "playwright-core";

/** The system's Chromium. */
function program() {
  for (const directory of process.env.PATH.split(delimiter)) {
    const path = join(directory, "chromium");
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next directory may have it.
    }
  }
  throw new Error("these tests need the program `chromium`");
}

/** Where pages come from: each asks for `script`, if there is one. Returns their origin. */
export async function serveEmptyPages(t, script = "") {
  const pages = createServer((request, response) => {
    if (request.url === "/script.js") {
      response.setHeader("content-type", "text/javascript").end(script);
    } else {
      response.setHeader("content-type", "text/html").end("<!doctype html><script src=/script.js></script>");
    }
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    pages.closeAllConnections();
    pages.close();
  });
  return `http://127.0.0.1:${pages.address().port}`;
}

/** A browser, which ends with the test. */
export async function launch(t) {
  // Whoever runs as root, as in a container, has no sandbox to give; the pages are our own.
  const browser = await chromium.launch({ executablePath: program(), args: ["--no-sandbox"] });
  t.after(() => browser.close());
  return browser;
}
