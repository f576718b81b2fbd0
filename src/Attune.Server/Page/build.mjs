// Builds what the server embeds: built/app.js and built/app.css from src. The first line of both names the sources that they were made
// of, so that a test without Node sees whether they are out of date.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const outdir = process.argv[2] ?? join(here, "built");

/** SHA-256 over the names and texts of all sources, in the order of their names. */
function hashOfSources() {
    const hash = createHash("sha256");
    const names = readdirSync(join(here, "src")).map((name) => `src/${name}`);
    for (const name of [...names, "build.mjs", "package-lock.json", "tsconfig.json"].sort()) {
        hash.update(name)
            .update("\n")
            .update(readFileSync(join(here, name), "utf8").replaceAll("\r\n", "\n"))
            .update("\n");
    }
    return hash.digest("hex");
}

const licences = "Attune (MIT), with Preact (MIT, copyright (c) 2015-present Jason Miller)";
const banner = `/* ${licences}. Made by npm run build of ${hashOfSources()} */`;
await build({
    entryPoints: [join(here, "src/app.tsx"), join(here, "src/app.css")],
    outdir,
    bundle: true,
    minify: true,
    lineLimit: 120,
    format: "esm",
    target: ["chrome120", "firefox120", "safari17"],
    jsx: "automatic",
    jsxImportSource: "preact",
    charset: "utf8",
    legalComments: "none",
    banner: { js: banner, css: banner },
});
