// Uses the page as people do, in Chromium: node browser.mjs PAGE-FOLDER CHROMIUM ADDRESS LOCKED-ADDRESS KEY. Says what came of each
// scenario as a line of JSON. The packages are those of the page's folder (npm ci).
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, chromiumPath, address, lockedAddress, key] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = require("axe-core").source;
const patience = Number(process.env.ATTUNE_PATIENCE ?? 60_000);

const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });

/** A window without a past. What the browser complains about is an error. */
async function open({ at = address, width = 1280, height = 900, colorScheme = "light", form = null } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.complaints = [];
  page.on("console", (said) => {
    // A refusal that the page shows is in the browser's log too.
    if (["error", "warning"].includes(said.type()) && !said.text().startsWith("Failed to load resource"))
      page.complaints.push(said.text());
  });
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.protocol !== "blob:" && url.origin !== at)
      page.complaints.push(`asks another server: ${request.url()}`);
  });
  if (form !== null) await page.addInitScript((text) => {
    if (localStorage.getItem("attune.form") === null) localStorage.setItem("attune.form", text);
  }, JSON.stringify({ newSeed: false, seed: "7", prompt: "a lion on a blue background", negative: "crown", ...form }));
  await page.goto(at);
  return page;
}

const api = async (path, options) => (await fetch(address + path, options)).json();
const jobs = async () => (await api("/api/jobs?limit=200")).data;
const made = (page, count, within = "#stage") =>
  page.waitForFunction(([count, within]) => {
    const images = [...document.querySelectorAll(`${within} img.made`)];
    return images.length === count && images.every((image) => image.complete && image.naturalWidth > 0);
  }, [count, within]);
const go = (page) => page.locator(".go button[type=submit]").click();

async function violations(page, what) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ")).join(", ")}`);
  });
  assert.deepEqual(found, [], what);
}

const scenarios = {
  async "a newcomer's first pictures in one click, and what guidance did"() {
    const page = await open();
    await page.getByRole("button", { name: "Make the first pictures" }).click();
    await made(page, 2);
    await page.getByText(/tau clips [0-9.]+ % of the tokens/).waitFor();
    assert.equal(await page.locator("#stage .tag").allTextContents().then((all) => all.join("|")), "Without guidance|With NAG");
    const [guided, plain] = (await jobs()).slice(0, 2);
    assert.equal(plain.seed, guided.seed);
    const both = [plain, guided].map((job) => job.request);
    assert.deepEqual(both.map((request) => request.guidance).sort(), ["default", "none"]);
    assert.equal(both.find((request) => request.guidance === "none").negative_prompt, undefined);
    return page;
  },

  async "a comparison moves by keyboard and stands side by side"() {
    const page = await open({ form: { mode: "compare" } });
    await go(page);
    await made(page, 2);
    const divider = page.getByRole("slider", { name: /Divider/ });
    const clip = () => page.locator(".layer.first").evaluate((layer) => getComputedStyle(layer).clipPath);
    const before = await clip();
    await divider.focus();
    await page.keyboard.press("Home");
    assert.notEqual(await clip(), before);
    assert.equal(await clip(), "inset(0px 100% 0px 0px)");
    await page.keyboard.press("End");
    assert.match(await clip(), /^inset\(0px( 0(px|%))?/);
    await page.getByRole("radio", { name: "Side by side" }).check();
    assert.equal(await page.locator(".beside figure").count(), 2);
    await page.locator("#stage").getByRole("button", { name: /trace/ }).click();
    await page.getByRole("heading", { name: /Tokens that tau clips/ }).waitFor();
    assert.equal(await page.locator(".trace table.map").first().locator("td").count(), 24);
    return page;
  },

  async "a picture is watched and cancelled"() {
    const page = await open({ form: { mode: "picture", steps: "150", size: "256x256" } });
    await go(page);
    await page.locator("#stage .making img").waitFor();
    await page.getByRole("region", { name: "Queue" }).getByText(/step \d+ of 150/).waitFor();
    await page.locator("#stage").getByRole("button", { name: "Cancel" }).click();
    await page.locator("#stage").getByText("Cancelled").waitFor();
    const [last] = await jobs();
    assert.equal(last.status, "cancelled");
    await page.getByRole("region", { name: "Queue" }).waitFor({ state: "detached" });
    return page;
  },

  async "what was asked for is there after a reload"() {
    const page = await open({ form: { mode: "seeds", count: 2, steps: "12", prompt: "a panda on a blue background" } });
    await go(page);
    await page.locator("#stage .making.live").first().waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "a panda on a blue background" }).waitFor();
    assert.equal(await page.locator("#stage .cell").count(), 2);
    assert.equal(await page.locator("#prompt").inputValue(), "a panda on a blue background");
    await made(page, 2);
    await page.reload();
    await made(page, 2);
    return page;
  },

  async "a dropped picture recalls its settings, which make it again"() {
    const answer = await api("/v1/images/generations", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt: "a panda", negative_prompt: "a hat", guidance: "nag:scale=2,tau=2", steps: 2, seed: 4294967311 }),
    });
    const bytes = answer.data[0].b64_json;
    const page = await open();
    const drop = (name, base64) => page.evaluate(([name, base64]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type: "image/png" }));
      for (const type of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    }, [name, base64]);
    await drop("panda.png", bytes);
    await page.getByText("The settings of panda.png are recalled.").waitFor();
    assert.equal(await page.locator("#prompt").inputValue(), "a panda");
    assert.equal(await page.locator("#negative").inputValue(), "a hat");
    assert.equal(await page.getByLabel("Seed", { exact: true }).inputValue(), "4294967311");
    assert.equal(await page.getByRole("radio", { name: "My own" }).isChecked(), true);
    assert.equal(await page.getByRole("slider", { name: "tau" }).inputValue(), "2");
    await go(page);
    await made(page, 1);
    const again = await page.locator("#stage img.made").evaluate(async (image) => {
      const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    });
    assert.equal(again, bytes);
    const plain = await page.evaluate(() => {
      const canvas = document.createElement("canvas");
      return canvas.toDataURL("image/png").split(",")[1];
    });
    await drop("plain.png", plain);
    await page.getByText("plain.png says nothing of how it was made").waitFor();
    return page;
  },

  async "the API is read and tried, and nothing of it comes from elsewhere"() {
    const page = await open();
    await page.getByRole("link", { name: "The API" }).click();
    await page.getByText("/v1/images/generations").first().waitFor();
    return page;
  },

  async "a grid over a parameter, and settings of one of its pictures"() {
    const page = await open({ form: { mode: "picture", steps: "2" } });
    await page.getByRole("radio", { name: "Grid" }).check();
    await page.getByRole("combobox", { name: "Over" }).selectOption("nag.tau");
    await page.getByLabel("From", { exact: true }).fill("1");
    await page.getByLabel("To", { exact: true }).fill("5");
    await page.getByLabel("Values", { exact: true }).fill("2");
    await page.getByLabel("Seeds", { exact: true }).last().fill("2");
    await page.getByRole("button", { name: /Make 4 pictures/ }).click();
    await made(page, 4);
    const asked = (await jobs()).slice(0, 2).map((job) => job.request.guidance).sort();
    assert.match(asked[0], /tau=1[,.]/);
    assert.match(asked[1], /tau=5[,.]/);
    await page.locator(".grid .cell").last().click();
    await page.getByRole("button", { name: "Use these settings" }).click();
    assert.equal(await page.getByRole("slider", { name: "tau" }).inputValue(), "5");
    assert.equal(await page.getByLabel("Seed", { exact: true }).inputValue(), "8");
    return page;
  },

  async "the page says where nobody reads the negative prompt, and shows refusals"() {
    const page = await open({ form: { mode: "picture" } });
    await page.getByRole("radio", { name: "None" }).check();
    await page.getByText("Nobody reads the negative prompt").waitFor();
    await page.getByRole("radio", { name: "My own" }).check();
    await page.getByText("Nobody reads the negative prompt").waitFor({ state: "detached" });
    const scale = page.getByRole("slider", { name: "scale" });
    const preset = await scale.inputValue();
    await scale.fill("2");
    assert.match(await page.getByLabel("As text").inputValue(), /scale=2/);
    await page.getByRole("button", { name: `Set scale back to ${preset}` }).click();
    assert.equal(await scale.inputValue(), preset);
    await page.getByLabel("As text").fill("nag:scale=-1");
    await page.getByRole("alert").getByText(/scale is -1, expected at least 0/).waitFor();
    return page;
  },

  async "a picture is begun with, and a painted part of it is made anew"() {
    const page = await open({ form: { mode: "picture", newSeed: false } });
    await go(page);
    await made(page, 1);
    await page.getByRole("button", { name: "Begin with it" }).click();
    const canvas = page.getByRole("application", { name: /made anew/ });
    await canvas.focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Space");
    await page.getByText("What is painted is made anew, the rest is kept.").waitFor();
    await page.getByRole("button", { name: "Nothing painted" }).click();
    await page.getByText("Paint over a part").waitFor();
    const box = await canvas.boundingBox();
    await page.mouse.move(box.x + box.width * 0.35, box.y + box.height * 0.5);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.65, box.y + box.height * 0.5, { steps: 4 });
    await page.mouse.up();
    await page.getByText("What is painted is made anew, the rest is kept.").waitFor();
    await violations(page, "a painted part");
    await page.locator("#prompt").fill("a frog on a red background");
    await go(page);
    await page.getByRole("heading", { name: "a frog on a red background" }).waitFor();
    await made(page, 1);
    const [last, first] = (await jobs()).slice(0, 2).map((job) => job.images[0].url);
    const [inside, outside] = await page.evaluate(async (urls) => {
      const [a, b] = await Promise.all(urls.map(async (url) => {
        const image = await createImageBitmap(await (await fetch(url)).blob());
        const context = new OffscreenCanvas(image.width, image.height)
          .getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        return context;
      }));
      const { width, height } = a.canvas;
      const off = (x, y, w, h) => {
        const [p, q] = [a, b].map((context) => context.getImageData(x * width, y * height, w * width, h * height).data);
        return p.reduce((sum, value, at) => sum + Math.abs(value - q[at]), 0) / p.length;
      };
      return [off(0.4, 0.46, 0.2, 0.08), off(0, 0, 1, 0.125)];
    }, [first, last]);
    assert.ok(inside > 4 * outside, `the painted part changed by ${inside}, the rest by ${outside}`);
    return page;
  },

  async "everything by keyboard; the gallery moves, stars, deletes and takes back"() {
    const page = await open({ form: { mode: "picture", steps: "1" } });
    await page.locator("#prompt").waitFor();
    await page.keyboard.press("p");
    await page.locator("#prompt:focus").waitFor();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("a fox on a green background");
    await page.keyboard.press("Control+Enter");
    await made(page, 1);
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    const thumbs = page.getByRole("region", { name: "Gallery" }).locator(".thumbs button");
    await page.getByRole("heading", { name: "a fox on a green background" }).waitFor();
    await thumbs.first().focus();
    await page.keyboard.press("Enter");
    const shown = async () => new URL(page.url()).hash;
    await page.waitForFunction(() => location.hash.startsWith("#picture="));
    const first = await shown();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((first) => location.hash !== first, first);
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction((first) => location.hash === first, first);
    await page.keyboard.press(".");
    await page.locator(".star[aria-pressed=true]").waitFor();
    const id = first.split("=")[1];
    assert.equal((await api(`/api/images/${id}`)).starred, true);
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.waitForFunction((id) => [...document.querySelectorAll(".thumbs img")].some((image) => image.src.includes(id)), id);
    assert.equal((await api(`/api/images/${id}`)).id, id);
    return page;
  },

  async "a list of jobs that did not come at the start is asked for again"() {
    const page = await open({ form: { mode: "picture", steps: "1" } });
    await go(page);
    await made(page, 1);
    // The first two answers after the reload fail; nothing runs, so that only the failure is a reason to ask again.
    let failures = 0;
    await page.route("**/api/jobs?*", (route) => (failures++ < 2 ? route.abort() : route.continue()));
    await page.reload();
    for (const until = Date.now() + patience; failures < 3 && Date.now() < until;) await page.waitForTimeout(100);
    assert.ok(failures > 2, `asked ${failures} times`);
    await made(page, 1);
    return page;
  },

  async "a server with keys asks for one"() {
    const page = await open({ at: lockedAddress });
    const field = page.getByLabel("Key", { exact: true });
    await field.fill("not the secret");
    await page.keyboard.press("Enter");
    await page.getByText("The server does not know this key.").waitFor();
    await field.fill(key);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Make the first pictures" }).click();
    await made(page, 2);
    return page;
  },
};

for (const [width, colorScheme] of [[1280, "light"], [1280, "dark"], [360, "light"]]) {
  scenarios[`axe finds nothing at ${width} pixels, ${colorScheme}`] = async () => {
    const page = await open({ width, height: width < 500 ? 760 : 900, colorScheme });
    const isFirst = width > 500 && colorScheme === "light";
    if (isFirst) {
      await page.locator(".empty").waitFor();
      await violations(page, "the empty page");
    }
    await page.getByRole("radio", { name: "Compare" }).check();
    await go(page);
    await made(page, 2);
    await page.locator("#stage").getByRole("button", { name: /trace/ }).click();
    await page.locator(".trace table.map").first().waitFor();
    await page.getByRole("radio", { name: "My own" }).check();
    await page.locator(".rule").waitFor();
    await page.getByRole("radio", { name: "Grid" }).check();
    await page.evaluate(() => document.querySelectorAll("details").forEach((element) => { element.open = true; }));
    await violations(page, "a comparison with its trace, and all settings");
    if (isFirst) {
      await page.getByRole("button", { name: "Keys" }).click();
      await violations(page, "a dialog");
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wide, 0, "the page scrolls to the side");
    return page;
  };
}

const only = process.env.ATTUNE_SCENARIO;
for (const [name, scenario] of Object.entries(scenarios)) {
  if (only && !name.includes(only)) continue;
  let error = null;
  const begin = performance.now();
  try {
    const page = await scenario();
    assert.deepEqual(page.complaints, []);
  } catch (reason) {
    error = reason instanceof Error ? `${reason.message}\n${reason.stack}` : String(reason);
  }
  for (const context of browser.contexts()) await context.close();
  console.log(JSON.stringify({ name, error, seconds: Math.round(performance.now() - begin) / 1000 }));
}
await browser.close();
