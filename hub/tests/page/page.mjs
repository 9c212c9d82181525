// Drives the page in headless Chromium: two browsers in one room.
//
//   node page.mjs http://127.0.0.1:4180 /usr/bin/chromium [folder for pictures]
//
// It says "restart" when the server is to be killed and started again, and waits for a line on its input. It ends with 0 when every
// step held.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [url, executablePath, pictures] = process.argv.slice(2);
const PATIENCE = 30_000;
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const restart = async () => {
  console.log("restart");
  await input.next();
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"] });
const complaints = [];
let bytes = 0;

/// A browser of its own, with nothing in common with the others but the server.
async function visitor(room, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  let isCut = false;
  page.cut = (cut) => (isCut = cut);
  page.on("console", (message) => {
    if (message.type() === "error" && !(isCut && /WebSocket|ERR_CONNECTION/.test(message.text()))) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("response", async (response) => {
    assert.ok(response.url().startsWith(url), `asks somebody else: ${response.url()}`);
    bytes += (await response.body()).length;
  });
  await page.goto(`${url}/#${encodeURIComponent(room)}`);
  await page.locator('#state[data-state="online"]').waitFor();
  await page.locator("#where", { hasText: room }).waitFor();
  return page;
}

const picture = async (page, name) => pictures && (await page.screenshot({ path: `${pictures}/${name}.png` }));
const said = (page) => page.locator("#lines p[data-id]").evaluateAll((lines) => lines.map((line) => line.childNodes[1].data));
const hears = (page, text) => page.locator("#lines p[data-id]", { hasText: text }).waitFor();
const say = async (page, text) => {
  await page.locator("#say").fill(text);
  await page.locator("#say").press("Enter");
};
const chip = (page, name) => page.locator("#people button", { hasText: name });
const until = async (what, holds) => {
  const end = Date.now() + PATIENCE;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
const name = async (page, name) => {
  await page.locator("#people .self").click();
  await page.locator("#profile-name").fill(name);
  await page.locator("#profile button").click();
  await chip(page, name).waitFor();
};

const room = "A room with a view";
let ann;
let bob;

const steps = {
  async "two come into one room and see each other"() {
    ann = await visitor(room);
    assert.ok(bytes < 200_000, `${bytes} bytes until the page is there`);
    bob = await visitor(room, { colorScheme: "dark" });
    await until("two are there", async () => (await ann.locator("#people button").count()) === 2);
    await name(ann, "Ann");
    await name(bob, "Bob <b>");
    await chip(ann, "Bob <b>").waitFor();
    await chip(bob, "Ann").waitFor();
    assert.match(await chip(bob, "Ann").getAttribute("aria-label"), /has the crown/);
  },

  async "they talk"() {
    await say(ann, "Hello <img src=x onerror=alert(1)> & ✧");
    await hears(bob, "Hello <img src=x onerror=alert(1)> & ✧");
    assert.equal(await bob.locator("#lines img").count(), 0);
    for (let i = 0; i < 8; i++) await say(bob, `line ${i}`);
    await hears(ann, "line 7");
    assert.deepEqual((await said(ann)).slice(1), Array.from({ length: 8 }, (_, i) => `line ${i}`));
    assert.deepEqual(await said(ann), await said(bob));
  },

  async "they hear each other play"() {
    await ann.locator("#piano").focus();
    const lit = bob.locator('.key.on[data-key="c2"]');
    const light = lit.waitFor();
    await ann.keyboard.down("z");
    await light;
    assert.match(await lit.getAttribute("style"), /--hit/);
    await picture(bob, "playing-dark");
    await ann.keyboard.up("z");
    await until("the key is let go", async () => (await lit.count()) === 0);
    const other = ann.locator('.key.on[data-key="e3"]').waitFor();
    const key = await bob.locator('.key[data-key="e3"]').boundingBox();
    await bob.mouse.move(key.x + key.width / 2, key.y + key.height * 0.9);
    await bob.mouse.down();
    await other;
    await bob.mouse.up();
  },

  async "they see each other's cursors"() {
    await bob.mouse.move(300, 300);
    await bob.mouse.move(400, 350, { steps: 5 });
    const cursor = ann.locator(".cursor", { hasText: "Bob <b>" });
    await cursor.waitFor();
    const box = () => cursor.boundingBox();
    await until("the cursor is where it is", async () => Math.abs((await box()).x - 400) < 12 && Math.abs((await box()).y - 350) < 12);
    assert.equal(await bob.locator(".cursor", { hasText: "Bob" }).count(), 0, "one's own is not shown");
    await picture(ann, "room-light");
    await picture(bob, "room-dark");
  },

  async "the crown changes the room, is given and dropped, by keyboard only"() {
    await ann.locator("#settings-button").focus();
    await ann.keyboard.press("Enter");
    await ann.locator("#settings[open]").waitFor();
    await picture(ann, "settings");
    await ann.locator("#set-crownsolo").focus();
    await ann.keyboard.press("Space");
    await ann.keyboard.press("Enter");
    await until("the dialog is closed", async () => !(await ann.locator("#settings[open]").count()));
    await bob.locator("#piano").focus();
    await bob.keyboard.press("x");
    assert.equal(await bob.locator(".key.on").count(), 0, "who has no crown does not play");
    await chip(ann, "Bob").focus();
    await ann.keyboard.press("Enter");
    await ann.locator("#give").waitFor();
    await picture(ann, "person");
    await ann.locator("#give").focus();
    await ann.keyboard.press("Enter");
    await until("Bob has it", async () => /has the crown/.test(await chip(ann, "Bob").getAttribute("aria-label")));
    await chip(bob, "Bob").click();
    await bob.locator("#drop").click();
    await until("nobody has it", async () => !/has the crown/.test(await chip(bob, "Bob").getAttribute("aria-label")));
    await chip(bob, "Bob").click();
    await bob.locator("#take").click();
    await until("Bob has it again", async () => /has the crown/.test(await chip(ann, "Bob").getAttribute("aria-label")));
    await bob.locator("#settings-button").click();
    await bob.locator("#set-crownsolo").uncheck();
    await bob.locator("#settings-form button").click();
  },

  async "the list of rooms leads elsewhere and back, by keyboard only"() {
    await ann.locator("#piano").focus();
    await ann.locator("#rooms-button").focus();
    await ann.keyboard.press("Enter");
    await ann.locator("#list button", { hasText: room }).waitFor();
    await picture(ann, "rooms");
    await ann.keyboard.type("Elsewhere");
    await ann.keyboard.press("Enter");
    await ann.locator("#where", { hasText: "Elsewhere" }).waitFor();
    assert.deepEqual(await said(ann), []);
    await chip(bob, "Ann").waitFor({ state: "detached" });
    await ann.evaluate((hash) => (location.hash = hash), `#${encodeURIComponent(room)}`);
    await ann.locator("#where", { hasText: room }).waitFor();
    await until("the history is there", async () => (await said(ann)).length === 9);
    await ann.locator("#piano").focus();
    await ann.keyboard.press("Enter");
    assert.equal(await ann.evaluate(() => document.activeElement.id), "say");
    await ann.keyboard.press("Escape");
    assert.equal(await ann.evaluate(() => document.activeElement.id), "piano");
  },

  async "after a restart of the server both are back, and every line is there once"() {
    for (const page of [ann, bob]) {
      page.cut(true);
      await page.evaluate(() => (window.isTheSame = true));
    }
    await say(ann, "the last before");
    await hears(bob, "the last before");
    await say(bob, "said while it dies");
    await ann.evaluate(() => {
      const state = document.getElementById("state");
      const observer = new MutationObserver(() => {
        if (state.dataset.state === "online") return;
        observer.disconnect();
        document.getElementById("say").value = "said while it was away";
        document.getElementById("form").requestSubmit();
      });
      observer.observe(state, { attributes: true });
    });
    await restart();
    for (const page of [ann, bob]) {
      await page.locator('#state[data-state="online"]').waitFor();
      await hears(page, "said while it was away");
      await hears(page, "said while it dies");
    }
    await say(bob, "and on it goes");
    for (const page of [ann, bob]) {
      await hears(page, "and on it goes");
      assert.equal(await page.locator("#lines .pending").count(), 0);
      const lines = await said(page);
      assert.equal(new Set(lines).size, lines.length, `a line is there twice: ${lines}`);
      assert.equal(lines.length, 13);
      assert.equal(await page.evaluate(() => window.isTheSame), true, "the page was loaded again");
      page.cut(false);
    }
    assert.deepEqual(await said(ann), await said(bob));
    await until("both are there", async () => (await ann.locator("#people button").count()) === 2);
    await until("Bob has the crown still", async () => /has the crown/.test(await chip(ann, "Bob").getAttribute("aria-label")));
  },

  async "who has the crown kicks"() {
    await chip(bob, "Ann").click();
    await bob.locator("#kick-minutes").selectOption("5");
    await bob.locator("#kick").click();
    await ann.locator("#where", { hasText: "test/awkward" }).waitFor();
    await ann.locator(".toast", { hasText: `Banned from "${room}" for 5 minutes.` }).waitFor();
    await bob.locator(".toast", { hasText: "Bob <b> banned Ann from the channel for 5 minutes." }).waitFor();
    await picture(ann, "kicked");
    await ann.evaluate((hash) => (location.hash = hash), `#${encodeURIComponent(room)}`);
    await ann.locator(".toast", { hasText: "Currently banned from" }).waitFor();
    assert.equal(await bob.locator("#people button").count(), 1);
  },

  async "it is of use on a phone"() {
    const phone = await visitor("lobby", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    const other = await visitor("lobby", { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
    for (const page of [phone, other]) {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `wider than the screen by ${wide}`);
      for (const id of ["say", "rooms-button", "piano", "lower", "higher"]) {
        const box = await page.locator(`#${id}`).boundingBox();
        assert.ok(box && box.height >= 36, `${id} is too small for a finger`);
      }
      const form = await page.locator("#form").boundingBox();
      assert.ok(form.y + form.height <= (await page.viewportSize()).height + 1, "the chat's field is on the screen");
    }
    const light = other.locator('.key.on[data-key="g3"]').waitFor();
    await phone.locator('.key[data-key="g3"]').scrollIntoViewIfNeeded();
    await phone.locator('.key[data-key="g3"]').dispatchEvent("pointerdown", { pointerId: 9, pointerType: "touch", button: 0, clientY: 400 });
    await light;
    await phone.locator("#piano").dispatchEvent("pointerup", { pointerId: 9 });
    await say(phone, "from a phone");
    await hears(other, "from a phone");
    // Who has the crown has one button more, and sees still where he is.
    const holder = await visitor("a room of one's own", { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
    await holder.locator("#settings-button").waitFor();
    assert.ok((await holder.locator("#where").boundingBox()).width > 80, "the room's name can be read");
    // Lying on its side, there is room for piano and chat.
    await holder.setViewportSize({ width: 667, height: 375 });
    const lines = await holder.locator("#lines").boundingBox();
    assert.ok(lines.height > 150, `the chat has ${lines.height} pixels`);
    await picture(holder, "phone-on-its-side");
    await picture(phone, "phone-light");
    await picture(other, "phone-dark");
  },

  async "nothing complains"() {
    assert.deepEqual(complaints, []);
  },
};

try {
  for (const [step, run] of Object.entries(steps)) {
    await run().catch(async (error) => {
      if (ann) await picture(ann, "failed-ann");
      if (bob) await picture(bob, "failed-bob");
      throw new Error(`${step}: ${error.stack}\n${complaints.join("\n")}`);
    });
    console.log(`ok ${step}`);
  }
  console.log("done");
  await browser.close();
  process.exit(0);
} catch (error) {
  console.error(`FAILED ${error.message}`);
  await browser.close();
  process.exit(1);
}
