// The page's connection without a browser: its lines are said once, whatever becomes of the web socket.
//
//   node --test net.test.mjs, with the page's net.js at BOWLINE_NET

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const sockets = [];
let intervals = [];
class Socket {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor() {
    sockets.push(this);
  }
  send(text) {
    this.sent.push(...JSON.parse(text));
  }
  close() {}
  /// What the server says.
  hear(...messages) {
    this.onmessage({ data: JSON.stringify(messages) });
  }
  die() {
    this.readyState = 3;
    this.onclose({ code: 1006, reason: "" });
  }
}
Object.assign(globalThis, {
  WebSocket: Socket,
  location: { protocol: "http:", host: "here" },
  localStorage: { getItem: () => "a token of this browser", setItem() {} },
  addEventListener() {},
  setInterval: (run) => intervals.push(run),
  clearInterval() {},
  setTimeout: (run) => setImmediate(run),
  clearTimeout() {},
});
const { Net } = await import(pathToFileURL(process.env.BOWLINE_NET));

const me = { _id: "me", name: "Ann", color: "#000000" };
const line = (id, text, by = me) => ({ m: "a", a: text, p: by, t: 1, id: String(id) });
const come = (socket, ...lines) => {
  socket.onopen();
  socket.hear({ m: "hi", t: Date.now(), u: me });
  socket.hear({ m: "ch", p: "me", ch: { _id: "a room" }, ppl: [] }, { m: "c", c: lines });
};
const said = (socket) => socket.sent.filter((message) => message.m === "a");
const next = () => new Promise((resolve) => setImmediate(resolve));

/// A page that is in its room.
function page() {
  sockets.length = 0;
  intervals = [];
  const net = new Net("a room");
  const told = [];
  for (const name of ["line", "missed", "unsaid"]) net.addEventListener(name, ({ detail }) => told.push([name, detail]));
  come(sockets[0], line(1, "before", { _id: "bob" }));
  told.length = 0;
  return { net, told };
}

test("a line that did not arrive is said again under its number", async () => {
  const { net } = page();
  net.say("hello");
  const [first] = said(sockets[0]);
  assert.equal(first.message, "hello");
  assert.ok(Number.isSafeInteger(first.nr));
  sockets[0].die();
  await next();
  come(sockets[1], line(1, "before", { _id: "bob" }));
  assert.deepEqual(said(sockets[1]), [first]);
  sockets[1].hear(line(2, "hello"));
  assert.deepEqual(net.pending, []);
});

test("a line that is in the history is not said again", async () => {
  const { net } = page();
  net.say("hello");
  sockets[0].die();
  await next();
  come(sockets[1], line(1, "before", { _id: "bob" }), line(2, "hello"));
  assert.deepEqual([said(sockets[1]), net.pending], [[], []]);
});

test("when more was said than the history shows, a line is not said again but told", async () => {
  const { net, told } = page();
  net.say("hello");
  sockets[0].die();
  await next();
  come(sockets[1], ...Array.from({ length: 32 }, (_, at) => line(100 + at, `line ${at}`, { _id: "bob" })));
  assert.deepEqual([said(sockets[1]), net.pending], [[], []]);
  assert.deepEqual(told.filter(([name]) => name === "missed").length, 1);
  assert.deepEqual(told.filter(([name]) => name === "unsaid").map(([, { text }]) => text), ["hello"]);
});

test("a line that is refused for now is said later, one that is refused for good is told", async () => {
  const { net, told } = page();
  net.say("hello");
  const [{ nr }] = said(sockets[0]);
  sockets[0].hear({ m: "unsaid", nr, why: "rate", final: false });
  assert.equal(net.pending.length, 1);
  assert.equal(said(sockets[0]).length, 1, "not at once");
  intervals[0]();
  assert.deepEqual(said(sockets[0]).map((message) => message.nr), [nr, nr]);
  sockets[0].hear({ m: "unsaid", nr, why: "there is no chat in this room", final: true });
  assert.deepEqual(net.pending, []);
  assert.deepEqual(told, [["unsaid", { text: "hello", why: "there is no chat in this room" }]]);
});

test("a line for another room than one is in now is told, and not said there", async () => {
  const { net, told } = page();
  net.say("sent");
  sockets[0].die();
  net.say("waiting");
  await next();
  sockets[1].onopen();
  sockets[1].hear({ m: "hi", t: Date.now(), u: me });
  sockets[1].hear({ m: "ch", p: "me", ch: { _id: "test/awkward" }, ppl: [] }, { m: "c", c: [] });
  assert.deepEqual([said(sockets[1]), net.pending], [[], []]);
  assert.deepEqual(told.map(([name, { text }]) => [name, text]), [["unsaid", "sent"], ["unsaid", "waiting"]]);
});

test("what is said on the way to another room is said there, or told", async () => {
  const { net, told } = page();
  net.enter("b room");
  net.say("for b");
  assert.deepEqual(said(sockets[0]), []);
  sockets[0].hear({ m: "ch", p: "me", ch: { _id: "b room" }, ppl: [] }, { m: "c", c: [] });
  assert.deepEqual(said(sockets[0]).map(({ message }) => message), ["for b"]);
  sockets[0].hear(line(1, "for b"));
  net.enter("c room");
  net.say("for c");
  // The server says nothing.
  await next();
  assert.deepEqual(told.filter(([name]) => name === "unsaid").map(([, { text }]) => text), ["for c"]);
  assert.deepEqual([net.room, net.pending], ["b room", []]);
  net.say("for b again");
  assert.deepEqual(said(sockets[0]).map(({ message }) => message), ["for b", "for b again"]);
});

test("of two rooms that are asked for, what is said is for the last", async () => {
  const { net, told } = page();
  const enters = (room) => sockets[0].hear({ m: "ch", p: "me", ch: { _id: room }, ppl: [] }, { m: "c", c: [] });
  const words = () => said(sockets[0]).map(({ message, room }) => `${message} in ${room}`);
  net.enter("b room");
  net.enter("c room");
  net.say("for c");
  enters("b room");
  net.say("for c, too");
  assert.deepEqual([words(), told.filter(([name]) => name === "unsaid"), net.room], [[], [], "c room"]);
  enters("c room");
  assert.deepEqual(words(), ["for c in c room", "for c, too in c room"]);
});

test("what was missed is no answer to what was asked for", async () => {
  const { net, told } = page();
  net.enter("b room");
  net.say("for b");
  sockets[0].hear({ m: "ch", p: "me", ch: { _id: "a room" }, ppl: [] });
  net.say("for b, too");
  assert.deepEqual([said(sockets[0]), told], [[], []]);
  sockets[0].hear({ m: "ch", p: "me", ch: { _id: "b room" }, ppl: [] }, { m: "c", c: [] });
  assert.deepEqual(said(sockets[0]).map(({ message }) => message), ["for b", "for b, too"]);
});

test("a full lobby sends on to another, or back to where one is", async () => {
  const { net } = page();
  net.enter("lobby");
  sockets[0].hear({ m: "ch", p: "me", ch: { _id: "lobby2" }, ppl: [] }, { m: "c", c: [] });
  net.say("here");
  assert.deepEqual(said(sockets[0]).map(({ message, room }) => [message, room]), [["here", "lobby2"]]);
});
