// Drives published clients of Multiplayer Piano, as they are, through every rule of the gateway.
//
//   node conformance.mjs ws://127.0.0.1:4180/ws [--salted | --drop] [package ...]
//
// It says "restart" when the server is to be killed and started again, and waits for a line on its input. It ends with 0 when every
// step of every client held.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import assert from "node:assert/strict";

const require = createRequire(import.meta.url);
const PATIENCE = 30_000;
const TYPES = ["hi", "b", "ch", "c", "p", "bye", "a", "n", "m", "t", "nq", "ls", "notification", "dm", "custom"];
const url = process.argv[2];
const mode = process.argv[3]?.startsWith("--") ? process.argv[3] : undefined;
const chosen = process.argv.slice(mode ? 4 : 3);
const packages = chosen.length ? chosen : ["mpp-client", "mpp-client-xt", "mpp-client-net", "mppclone-client"];

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const restart = async () => {
  console.log("restart");
  await input.next();
};

/// A client of a package, and all that it was told.
function start(name, token) {
  const module = require(name);
  const Client = module.Client ?? module.default ?? module;
  const client = new Client(url, token);
  client.told = [];
  client.waiting = [];
  for (const type of TYPES) {
    client.on(type, (message) => {
      client.told.push(message);
      client.waiting.splice(0).forEach((look) => look());
    });
  }
  client.on("disconnect", () => {
    client.told.push({ m: "disconnect" });
    client.waiting.splice(0).forEach((look) => look());
  });
  client.start();
  return client;
}

/// Waits until something was told for which `wanted` holds, from `from` on.
function heard(client, what, wanted, from = 0) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const told = JSON.stringify(client.told.slice(-12));
      reject(new Error(`nobody heard: ${what}; last: ${told}`));
    }, PATIENCE);
    const look = () => {
      const found = client.told.slice(from).find(wanted);
      if (found) {
        clearTimeout(timer);
        resolve(found);
      } else {
        client.waiting.push(look);
      }
    };
    look();
  });
}

const mark = (client) => client.told.length;
const send = (client, ...messages) => client.sendArray(messages);
const say = (client, message) => send(client, { m: "a", message });

/// Everything that the server has sent before is there once this is.
let beats = 0;
async function settled(...clients) {
  // A line of chat would tell of everything before it; the time does so for one connection, twice for what others caused.
  for (let round = 0; round < 2; round++) {
    for (const client of clients) {
      const e = Date.now() + ++beats;
      const from = mark(client);
      send(client, { m: "t", e });
      await heard(client, "the time", (message) => message.m === "t" && message.e === e, from);
    }
  }
}

async function enter(client, room, set) {
  const from = mark(client);
  client.setChannel(room, set);
  const ch = await heard(client, `a room for ${room}`, (message) => message.m === "ch" && message.p, from);
  await heard(client, "the history", (message) => message.m === "c", from);
  await heard(client, "the quota", (message) => message.m === "nq", from);
  return ch;
}

async function come(name, room, token) {
  const client = start(name, token);
  const hi = await heard(client, "hi", (message) => message.m === "hi");
  assert.match(hi.u._id, /^[0-9a-f]{24}$/);
  assert.match(hi.u.color, /^#[0-9a-f]{6}$/);
  assert.equal(hi.u.name, "Anonymous");
  assert.ok(Math.abs(hi.t - Date.now()) < 5000);
  if (room) client.entered = await enter(client, room);
  return client;
}

const left = [];
function leave(...clients) {
  for (const client of clients) {
    client.stop();
    left.push(client);
  }
}

const own = (client) => client.getOwnParticipant();
const last = (client, m) => client.told.findLast((message) => message.m === m);
const none = (client, from, wanted, what) =>
  assert.equal(client.told.slice(from).find(wanted), undefined, `heard what nobody should: ${what}`);

const steps = {
  async "the first has the crown, and everybody sees who is there"(name, room) {
    const ann = await come(name, room);
    assert.equal(ann.entered.ch._id, room);
    assert.equal(ann.entered.ch.count, 1);
    assert.equal(ann.entered.ch.crown.participantId, ann.participantId);
    assert.ok(ann.isOwner());
    assert.deepEqual([last(ann, "nq").allowance, last(ann, "nq").max, last(ann, "nq").maxHistLen], [600, 1800, 3]);
    const bob = await come(name, room);
    assert.equal(Object.keys(bob.ppl).length, 2);
    assert.deepEqual([last(bob, "nq").allowance, last(bob, "nq").max], [400, 1200]);
    assert.ok(!bob.isOwner());
    await heard(ann, "bob comes", (message) => message.m === "p" && message.id === bob.participantId);
    assert.equal(Object.keys(ann.ppl).length, 2);
    return { ann, bob };
  },

  async "chat is heard by all, and by who says it"(name, room, { ann, bob }) {
    say(ann, "hello \"bob\" <b>&amp; \u2028 ✧");
    for (const client of [ann, bob]) {
      const line = await heard(client, "a line", (message) => message.m === "a");
      assert.equal(line.a, "hello \"bob\" <b>&amp; \u2028 ✧");
      assert.equal(line.p._id, ann.user._id);
      assert.ok(Math.abs(line.t - Date.now()) < 10_000);
    }
    const from = mark(bob);
    say(ann, "x".repeat(513));
    say(ann, "   ");
    send(ann, { m: "a" }, { m: "a", message: 7 }, { m: "a", message: null });
    say(ann, "y".repeat(512));
    await heard(bob, "512 characters", (message) => message.m === "a" && message.a.length === 512, from);
    none(bob, from, (message) => message.m === "a" && message.a.length !== 512, "a line that is too long, blank or none");
  },

  async "nobody hears his own notes and cursor"(name, room, { ann, bob }) {
    const [a, b] = [mark(ann), mark(bob)];
    ann.startNote("c3", 0.5);
    ann.stopNote("c3");
    const n = await heard(bob, "notes", (message) => message.m === "n", b);
    assert.equal(n.p, ann.participantId);
    assert.deepEqual(n.n[0], { n: "c3", v: 0.5 });
    assert.equal(n.n[1].s, 1);
    send(ann, { m: "m", x: 12.345, y: "67.8" });
    const m = await heard(bob, "a cursor", (message) => message.m === "m", b);
    assert.deepEqual([m.id, m.x, m.y], [ann.participantId, "12.35", "67.80"]);
    assert.equal(Number(bob.ppl[ann.participantId].x), 12.35);
    await settled(ann, bob);
    none(ann, a, (message) => message.m === "n" || message.m === "m", "his own notes or cursor");
  },

  async "names and colours are told, if they are any"(name, room, { ann, bob }) {
    const from = mark(bob);
    send(ann, { m: "userset", set: { name: "  Ann ✧ ", color: "#123456" } });
    const p = await heard(bob, "a name", (message) => message.m === "p" && message.name === "Ann ✧", from);
    assert.equal(p.color, "#123456");
    await heard(ann, "his own name", (message) => message.m === "p" && message.name === "Ann ✧");
    const next = mark(bob);
    send(ann, { m: "userset", set: { name: "n".repeat(41) } }, { m: "userset", set: { color: "<script>" } });
    send(ann, { m: "userset", set: { name: " " } }, { m: "userset" }, { m: "userset", set: "x" });
    await settled(ann, bob);
    none(bob, next, (message) => message.m === "p" && message.id === ann.participantId, "a bad name or colour");
  },

  async "only the holder changes the room"(name, room, { ann, bob }) {
    let from = mark(ann);
    send(bob, { m: "chset", set: { color: "#000000" } });
    await settled(bob, ann);
    none(ann, from, (message) => message.m === "ch", "a change by who may not");
    from = mark(bob);
    const set = { color: "#112233", color2: "#445566", visible: false, "no cussing": true, limit: 50, minOnlineTime: 0, noindex: true, allowBots: true, lobby: true, nonsense: 1, chat: "yes" };
    send(ann, { m: "chset", set });
    const ch = await heard(bob, "settings", (message) => message.m === "ch" && message.ch.settings.color === "#112233", from);
    const expected = { visible: false, chat: true, crownsolo: false, color: "#112233", color2: "#445566", "no cussing": true, noindex: true, allowBots: true, limit: 50, minOnlineTime: 0 };
    assert.deepEqual(ch.ch.settings, expected);
    assert.equal(ch.ppl.length, 2);
    from = mark(bob);
    send(ann, { m: "chset", set: { color: "#223344", visible: true, chat: false, crownsolo: true } });
    const next = await heard(bob, "other settings", (message) => message.m === "ch" && message.ch.settings.crownsolo, from);
    assert.equal(next.ch.settings.color2, undefined);
    const [a, b] = [mark(ann), mark(bob)];
    send(bob, { m: "n", t: Date.now(), n: [{ n: "a1" }] });
    say(bob, "is anybody there?");
    send(ann, { m: "n", t: Date.now(), n: [{ n: "a2" }] });
    await heard(bob, "the holder plays alone", (message) => message.m === "n", b);
    await settled(bob, ann);
    none(ann, a, (message) => message.m === "n" || message.m === "a", "notes or words where there are none");
    send(ann, { m: "chset", set: { chat: true, crownsolo: false } });
    await heard(bob, "all as before", (message) => message.m === "ch" && message.ch.settings.chat && !message.ch.settings.crownsolo, b);
  },

  async "the crown is given, dropped and taken"(name, room, { ann, bob }) {
    let from = mark(bob);
    send(bob, { m: "chown", id: bob.participantId });
    await settled(bob, ann);
    none(bob, from, (message) => message.m === "ch", "a crown that was taken by force");
    const [a, b] = [mark(ann), mark(bob)];
    send(ann, { m: "chown", id: bob.participantId });
    await heard(bob, "the crown", (message) => message.m === "ch" && message.ch.crown.participantId === bob.participantId, b);
    await heard(bob, "the holder's quota", (message) => message.m === "nq" && message.max === 1800, b);
    await heard(ann, "the quota of others", (message) => message.m === "nq" && message.max === 1200, a);
    from = mark(ann);
    send(bob, { m: "chown" });
    const dropped = await heard(ann, "the crown falls", (message) => message.m === "ch" && !message.ch.crown.participantId, from);
    assert.equal(dropped.ch.crown.userId, bob.user._id);
    assert.ok(Math.abs(dropped.ch.crown.time - Date.now()) < 5000);
    assert.ok("x" in dropped.ch.crown.startPos && "y" in dropped.ch.crown.endPos);
    from = mark(ann);
    send(ann, { m: "chown", id: ann.participantId });
    await settled(ann);
    none(ann, from, (message) => message.m === "ch", "somebody else took it within 15 s");
    send(bob, { m: "chown", id: bob.participantId });
    await heard(ann, "its last holder takes it at once", (message) => message.m === "ch" && message.ch.crown.participantId === bob.participantId, from);
    from = mark(ann);
    send(bob, { m: "chown", id: ann.participantId });
    await heard(ann, "it goes back", (message) => message.m === "ch" && message.ch.crown.participantId === ann.participantId, from);
  },

  async "bans move away and keep away until they are lifted"(name, room, { ann, bob }) {
    const [a, b, gone] = [mark(ann), mark(bob), bob.participantId];
    send(bob, { m: "kickban", _id: ann.user._id, ms: 60_000 });
    await settled(bob, ann);
    none(ann, a, (message) => message.m === "notification", "a ban by who may not");
    send(ann, { m: "kickban", _id: bob.user._id, ms: 300_000 });
    const awkward = await heard(bob, "another room", (message) => message.m === "ch" && message.p, b);
    assert.equal(awkward.ch._id, "test/awkward");
    const banned = await heard(bob, "words about it", (message) => message.m === "notification" && message.text.startsWith("Banned"), b);
    assert.equal(banned.text, `Banned from "${room}" for 5 minutes.`);
    assert.equal(banned.duration, 7000);
    const told = await heard(ann, "words for the room", (message) => message.m === "notification", a);
    assert.equal(told.text, "Ann ✧ banned Anonymous from the channel for 5 minutes.");
    await heard(ann, "bob is gone", (message) => message.m === "bye" && message.p === gone, a);
    let from = mark(bob);
    bob.setChannel(room);
    const again = await heard(bob, "it is still so", (message) => message.m === "notification", from);
    assert.match(again.text, new RegExp(`^Currently banned from ".*" for [45] minutes\\.$`));
    assert.equal(bob.channel._id, "test/awkward");
    send(ann, { m: "unban", _id: bob.user._id });
    await settled(ann);
    // The ban is lifted once that is durable.
    for (let tries = 0; tries < 20 && bob.channel._id !== room; tries++) {
      from = mark(bob);
      bob.setChannel(room);
      await heard(bob, "an answer", (message) => message.m === "notification" || (message.m === "ch" && message.p), from);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    assert.equal(bob.channel._id, room);
  },

  async "who bans himself gets a certificate; a ban of no length said is for 30 minutes, and any is over in its time"(name, room) {
    const there = `${room} bans`;
    const [cat, dog, eve] = [await come(name, there), await come(name, there), await come(name, there)];
    let from = mark(dog);
    send(cat, { m: "kickban", _id: cat.user._id, ms: 60_000 });
    const told = await heard(dog, "the certificate", (message) => message.m === "notification", from);
    assert.equal(told.title, "Certificate of Award");
    assert.equal(told.text, "Let it be known that Anonymous kickbanned him/her self.");
    await heard(dog, "the crown", (message) => message.m === "ch" && message.ch.crown.participantId === dog.participantId, from);
    from = mark(cat);
    const until = performance.now() + 3000;
    send(dog, { m: "kickban", _id: eve.user._id, ms: 3000 });
    await heard(eve, "another room", (message) => message.m === "ch" && message.p && message.ch._id === "test/awkward");
    let [refused, early] = [0, 0];
    for (let tries = 0; tries < 20 && eve.channel._id !== there; tries++) {
      from = mark(eve);
      eve.setChannel(there);
      const answer = await heard(eve, "an answer", (message) => message.m === "notification" || (message.m === "ch" && message.p), from);
      refused += answer.m === "notification";
      // A machine may be so slow that the ban is over before anybody asks.
      early += performance.now() < until;
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    assert.equal(eve.channel._id, there);
    assert.ok(refused >= early, "the ban was over too soon");
    from = mark(eve);
    send(dog, { m: "kickban", _id: eve.user._id });
    const banned = await heard(eve, "words about it", (message) => message.m === "notification" && message.text.startsWith("Banned"), from);
    assert.equal(banned.text, `Banned from "${there}" for 30 minutes.`);
    leave(cat, dog, eve);
  },

  async "a crown on the ground is anybody's after 15 s"(name, room) {
    const there = `${room} crown`;
    const [cat, dog] = [await come(name, there), await come(name, there)];
    const from = mark(dog);
    send(cat, { m: "chown" });
    const dropped = await heard(dog, "the crown falls", (message) => message.m === "ch" && !message.ch.crown.participantId, from);
    const claim = setInterval(() => send(dog, { m: "chown", id: dog.participantId }), 1000);
    const taken = await heard(dog, "the crown", (message) => message.m === "ch" && message.ch.crown.participantId === dog.participantId, from);
    clearInterval(claim);
    assert.ok(taken.ch.crown.time - dropped.ch.crown.time >= 15_000);
    leave(cat, dog);
  },

  async "who says too much at once is not heard"(name, room) {
    const there = `${room} rate`;
    const [holder, cat] = [await come(name, there), await come(name, there)];
    const from = mark(holder);
    for (let line = 0; line < 12; line++) say(cat, `line ${line}`);
    await heard(holder, "as many as he may say", (message) => message.m === "a" && message.a === "line 3", from);
    await settled(cat, holder);
    const lines = holder.told.slice(from).filter((message) => message.m === "a").map((message) => message.a);
    assert.deepEqual(lines.slice(0, 4), ["line 0", "line 1", "line 2", "line 3"]);
    assert.ok(lines.length < 8, `${lines}`);
    leave(holder, cat);
  },

  async "words for one and messages of programs come to whom they are for"(name, room, { ann, bob }) {
    const cat = await come(name, room);
    const [a, b, c] = [mark(ann), mark(bob), mark(cat)];
    send(ann, { m: "dm", _id: bob.user._id, message: "only for bob" });
    const heardBy = [await heard(bob, "the words", (message) => message.m === "dm", b), await heard(ann, "his own words", (message) => message.m === "dm", a)];
    for (const dm of heardBy) assert.deepEqual([dm.a, dm.sender._id, dm.recipient._id], ["only for bob", ann.user._id, bob.user._id]);
    send(bob, { m: "+custom" });
    send(cat, { m: "+custom" });
    await settled(bob, cat);
    send(ann, { m: "custom", data: { x: [1, null] }, target: { mode: "id", id: bob.user._id } });
    const custom = await heard(bob, "the data", (message) => message.m === "custom", b);
    assert.deepEqual([custom.data, custom.p], [{ x: [1, null] }, ann.user._id]);
    await settled(ann, cat);
    none(cat, c, (message) => message.m === "dm" || message.m === "custom", "what was for another");
    send(ann, { m: "custom", data: 7, target: { mode: "subscribed" } });
    await heard(cat, "the data for all", (message) => message.m === "custom" && message.data === 7, c);
    none(ann, a, (message) => message.m === "custom", "one's own data");
    leave(cat);
  },

  async "lists show rooms and how they change"(name, room, { ann }) {
    const from = mark(ann);
    send(ann, { m: "+ls" });
    const all = await heard(ann, "the list", (message) => message.m === "ls" && message.c === true, from);
    assert.ok(all.u.some((listed) => listed._id === room && listed.count === 2));
    const cat = await come(name, `${room} 2`);
    await heard(ann, "a new room", (message) => message.m === "ls" && !message.c && message.u.some((listed) => listed._id === `${room} 2` && listed.count === 1), from);
    leave(cat);
    await heard(ann, "a room less", (message) => message.m === "ls" && message.u.some((listed) => listed._id === `${room} 2` && listed.count === 0), from);
    send(ann, { m: "-ls" });
  },

  async "who comes later sees the last 32 lines"(name, room) {
    const there = `${room} history`;
    const authors = [];
    for (let i = 0; i < 9; i++) authors.push(await come(name, there));
    for (const [i, author] of authors.entries()) {
      for (let line = 0; line < 4; line++) {
        const text = `line ${4 * i + line}`;
        say(author, text);
        await heard(author, "his line", (message) => message.m === "a" && message.a === text);
      }
    }
    const late = await come(name, there);
    const { c } = last(late, "c");
    assert.deepEqual(c.map((line) => line.a), Array.from({ length: 32 }, (_, i) => `line ${i + 4}`));
    assert.equal(c[0].p._id, authors[1].user._id);
    assert.ok(c[0].t > 1e12 && c[0].m === "a");
    leave(late, ...authors);
  },

  async "a lobby holds 20, then the next is used, and nobody has a crown there"(name) {
    const guests = [];
    for (let i = 0; i < 21; i++) guests.push(await come(name, "lobby"));
    const rooms = guests.map((guest) => guest.channel._id);
    assert.equal(rooms.filter((where) => where === "lobby").length, 20);
    assert.equal(rooms[20], "lobby2");
    const lobby = guests[0].entered.ch;
    assert.equal(lobby.crown, undefined);
    assert.deepEqual([lobby.settings.lobby, lobby.settings.color, lobby.settings.color2], [true, "#73b3cc", "#273546"]);
    assert.deepEqual([last(guests[0], "nq").allowance, last(guests[0], "nq").max], [200, 600]);
    const from = mark(guests[1]);
    send(guests[0], { m: "chset", set: { color: "#000000" } }, { m: "chown", id: guests[0].participantId }, { m: "kickban", _id: guests[1].user._id, ms: 1000 });
    await settled(guests[0], guests[1]);
    none(guests[1], from, (message) => message.m === "ch" || message.m === "notification", "a lobby that was changed");
    leave(...guests);
  },

  async "the quota lets through what it should, and is filled again"(name) {
    const there = await come(name, "test/quota");
    const ear = await come(name, "test/quota");
    const play = (count) => send(there, { m: "n", t: Date.now(), n: Array.from({ length: count }, () => ({ n: "a1", v: 0.1 })) });
    const from = mark(ear);
    play(601);
    play(600);
    play(1);
    const n = await heard(ear, "600 notes", (message) => message.m === "n", from);
    assert.equal(n.n.length, 600);
    await settled(there, ear);
    assert.equal(ear.told.slice(from).filter((message) => message.m === "n").length, 1);
    const refill = setInterval(() => play(200), 100);
    const more = await heard(ear, "200 more after a tick", (message) => message.m === "n" && message.n.length === 200, from);
    clearInterval(refill);
    assert.equal(more.n.length, 200);
    leave(there, ear);
  },

  async "one user is one participant, however many tabs"(name, room, { ann }) {
    if (!["mpp-client-net", "mppclone-client"].includes(name)) return;
    const token = `a token of ${name} ${Date.now()}`;
    const first = await come(name, undefined, token);
    await enter(first, room);
    const second = start(name, token);
    await heard(second, "hi", (message) => message.m === "hi");
    assert.equal(second.user._id, first.user._id);
    const [from, id] = [mark(ann), first.user._id];
    const { ch } = await enter(second, room);
    assert.equal(ch.count, 3);
    first.stop();
    await settled(second, ann);
    none(ann, from, (message) => message.m === "bye", "a user with one tab less");
    second.stop();
    await heard(ann, "the last tab is closed", (message) => message.m === "bye" && message.p === id, from);
    left.push(first, second);
  },

  async "nonsense disturbs nobody"(name, room, { ann, bob }) {
    const junk = await come(name, room);
    const ws = junk.ws;
    for (const text of ["", "x", "{", "[", "null", "7", "{}", "[1]", "[null]", "[[]]", "[{}]", '[{"m":1}]', '[{"m":"m"}]', '[{"m":"n"}]', '[{"m":"n","t":1}]', '[{"m":"n","t":1,"n":7}]', '[{"m":"n","t":"x","n":[{"n":"a1"}]}]', '[{"m":"n","t":1,"n":[{}]}]', '[{"m":"ch"}]', '[{"m":"ch","_id":7}]', '[{"m":"chset"}]', '[{"m":"chown","id":{}}]', '[{"m":"kickban"}]', '[{"m":"unban","_id":[]}]', '[{"m":"hi"}]', '[{"m":"no such"}]', '[{"m":"__proto__"}]', '[{"m":"t","e":"x"}]', "[".repeat(5000), '{"m":"a","message":"no array"}', '[{"m":"m","x":"NaN","y":1e999}]']) {
      ws.send(text);
    }
    ws.send(Buffer.from([0, 1, 2, 255]));
    await settled(junk);
    const from = mark(bob);
    say(junk, "still here");
    await heard(bob, "who spoke nonsense", (message) => message.m === "a" && message.a === "still here", from);
    const [id, next] = [junk.participantId, mark(ann)];
    leave(junk);
    await heard(ann, "bye", (message) => message.m === "bye" && message.p === id, next);
  },

  async "who says bye is gone, and the crown goes on"(name, room, { ann, bob }) {
    const from = mark(bob);
    const id = ann.participantId;
    ann.canConnect = false;
    send(ann, { m: "bye" }, { m: "a", message: "after bye" });
    await heard(bob, "bye", (message) => message.m === "bye" && message.p === id, from);
    await heard(bob, "the crown", (message) => message.m === "ch" && message.ch.crown.participantId === bob.participantId, from);
    await heard(ann, "the end", (message) => message.m === "disconnect");
    none(bob, from, (message) => message.m === "a", "words after bye");
  },

  async "who is cut off by a restart is back, with nothing lost or doubled"(name, room, { bob }) {
    const from = mark(bob);
    say(bob, "before the restart");
    await heard(bob, "his line", (message) => message.m === "a" && message.a === "before the restart", from);
    const cut = mark(bob);
    await restart();
    await heard(bob, "the room again", (message) => message.m === "ch" && message.p && message.ch._id === room, cut);
    const { c } = await heard(bob, "the history", (message) => message.m === "c" && message.c.length > 0, cut);
    assert.equal(c.filter((line) => line.a === "before the restart").length, 1);
    leave(bob);
  },
};

const modes = {
  /// On a server with `--salt-file`.
  async "--salted"(name, room) {
    const [first, tab] = [await come(name, room), await come(name, room)];
    assert.equal(tab.user._id, first.user._id, "one address is one user");
    assert.equal(tab.entered.ch.count, 1);
    assert.ok(first.isOwner() && tab.isOwner());
    const from = mark(tab);
    leave(first);
    await settled(tab);
    none(tab, from, (message) => message.m === "bye" || message.m === "ch", "a user with one tab less");
    const again = await come(name);
    assert.equal(again.user._id, tab.user._id);
    leave(tab, again);
  },

  /// On a server with `--crown-on-leave drop`.
  async "--drop"(name, room) {
    if (!["mpp-client-net", "mppclone-client"].includes(name)) return;
    const token = `a token of ${name} ${Date.now()}`;
    const owner = await come(name, room, token);
    const bob = await come(name, room);
    const [from, id] = [mark(bob), owner.participantId];
    leave(owner);
    const dropped = await heard(bob, "the crown falls", (message) => message.m === "ch" && !message.ch.crown.participantId, from);
    assert.equal(dropped.ch.crown.userId, id);
    const again = await come(name, room, token);
    assert.equal(again.entered.ch.crown.participantId, id, "he gets it back");
    await heard(bob, "the crown", (message) => message.m === "ch" && message.ch.crown.participantId === id, from);
    leave(again, bob);
  },
};

process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});

for (const name of packages) {
  const room = `✧ room of ${name} ✧`;
  let people;
  for (const [step, run] of Object.entries(mode ? { [mode]: modes[mode] } : steps)) {
    try {
      people = (await run(name, room, people)) ?? people;
      console.log(`ok ${name}: ${step}`);
    } catch (error) {
      console.error(`FAILED ${name}: ${step}\n${error.stack}`);
      process.exit(1);
    }
  }
}
console.log("done");
process.exit(0);
