// The page: what the server tells becomes visible, what the user does is told.

import { Net } from "./net.js";
import { Piano } from "./piano.js";
import { Sound } from "./sound.js";

const $ = (id) => document.getElementById(id);
/// Notes of others are played this long after they were struck, so that those of one message keep their rhythm.
const LAG = 280;
const NOTES_EVERY = 50;
const CURSOR_EVERY = 60;
const MAX_LINES = 500;

const CROWN = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3 7l4.500 4L12 4l4.500 7L21 7l-2 11H5z" fill="currentColor"/></svg>';

const store = {
  get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* it is only for next time */ } },
};

const wanted = () => { try { return decodeURIComponent(location.hash.slice(1)) || "lobby"; } catch { return "lobby"; } };
const net = new Net(wanted());
const sound = new Sound();
const people = new Map();
let channel = { settings: {} };
let quota = { allowance: 200, max: 600 };
let points = 600;
let notes = [];
let notesAt = 0;

const isHolder = () => channel.crown?.participantId && channel.crown.participantId === net.own?._id;
const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const isLight = (color) => {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return r * 0.299 + g * 0.587 + b * 0.114 > 150;
};

// ---- the piano

const piano = new Piano($("piano"), (key, velocity) => {
  sound.wake();
  const alone = channel.settings.crownsolo && !isHolder();
  if (velocity > 0 && (alone || (net.isOnline && points < 1))) return;
  if (velocity > 0) {
    sound.start("own", key.pitch, velocity);
    piano.light(key.name, people.get(net.own?._id)?.color ?? "#1f5f9e");
    points = Math.max(0, points - 1);
    showQuota();
  } else {
    sound.stop("own", key.pitch);
    piano.light(key.name);
  }
  if (!net.isOnline) return;
  const now = Date.now();
  if (!notes.length) notesAt = now;
  const note = velocity > 0 ? { n: key.name, v: Number(velocity.toFixed(3)) } : { n: key.name, s: 1 };
  if (now > notesAt) note.d = Math.min(200, now - notesAt);
  notes.push(note);
});
setInterval(() => {
  if (!notes.length) return;
  net.send({ m: "n", t: Math.round(notesAt + net.offset), n: notes });
  notes = [];
}, NOTES_EVERY);
setInterval(() => {
  points = Math.min(quota.max, points + quota.allowance);
  showQuota();
}, 2000);

function showQuota() {
  const part = Math.round((100 * points) / quota.max);
  $("quota").setAttribute("aria-valuenow", part);
  $("quota").firstElementChild.style.transform = `scaleX(${part / 100})`;
  $("quota").classList.toggle("low", part < 20);
}

net.addEventListener("n", ({ detail }) => {
  const by = people.get(detail.p);
  if (!by) return;
  const start = Math.max(0, Math.min(1000, detail.t - net.offset + LAG - Date.now()));
  for (const note of detail.n) {
    const key = piano.key(note.n);
    if (!key) continue;
    setTimeout(() => {
      if (note.s) {
        sound.stop(detail.p, key.pitch);
        piano.light(key.name);
      } else {
        sound.start(detail.p, key.pitch, note.v ?? 0.5);
        piano.light(key.name, by.color);
        flash(by);
      }
    }, start + (note.d ?? 0));
  }
});

function flash(by) {
  by.chip?.classList.add("playing");
  clearTimeout(by.flash);
  by.flash = setTimeout(() => by.chip?.classList.remove("playing"), 250);
}

function shift(by) {
  $("octave").textContent = `Octave ${piano.shift(by)}`;
}
$("lower").onclick = () => shift(-1);
$("higher").onclick = () => shift(1);
requestAnimationFrame(() => shift(0));
$("volume").value = store.get("bowline-volume") ?? 70;
const setVolume = () => {
  sound.setVolume($("volume").value / 100);
  store.set("bowline-volume", $("volume").value);
};
$("volume").oninput = setVolume;
setVolume();
addEventListener("pointerdown", () => sound.wake(), { once: true });

// ---- the keyboard

const isTyping = (target) => target.closest("dialog") || target.matches("input:not([type=range]), select, textarea");
addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    $("piano").focus();
    return;
  }
  if (isTyping(event.target) || event.target.matches("input[type=range]")) return;
  const isButton = event.target.matches("button, a, .lines");
  if (event.key === "Enter" && !isButton) {
    event.preventDefault();
    $("say").focus();
  } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !isButton) {
    event.preventDefault();
    shift(event.key === "ArrowLeft" ? -1 : 1);
  } else if (piano.keydown(event)) {
    event.preventDefault();
  }
});
addEventListener("keyup", (event) => piano.keyup(event));

// ---- who is here

function setPeople(list) {
  const here = new Set(list.map((person) => person.id));
  for (const id of [...people.keys()]) if (!here.has(id)) gone(id);
  list.forEach(come);
}

function come(update) {
  const known = people.get(update.id) ?? {};
  const person = Object.assign(known, update, { x: Number(update.x), y: Number(update.y), afk: update.afk });
  people.set(update.id, person);
  showPerson(person);
  showCursor(person);
}

function showPerson(person) {
  const isSelf = person.id === net.own?._id;
  if (!person.chip) {
    person.chip = element("button");
    person.chip.type = "button";
    person.chip.append(element("span", "swatch"), element("span", "name"));
    person.chip.onclick = () => openPerson(person.id);
    person.item = element("li");
    person.item.append(person.chip);
    if (isSelf) $("people").prepend(person.item);
    else $("people").append(person.item);
  }
  const holds = channel.crown?.participantId === person.id;
  const [swatch, name] = person.chip.children;
  swatch.style.background = person.color;
  swatch.style.color = isLight(person.color) ? "#000" : "#fff";
  swatch.innerHTML = holds ? CROWN : "";
  name.textContent = person.name;
  person.chip.classList.toggle("self", isSelf);
  person.chip.classList.toggle("away", Boolean(person.afk));
  person.chip.setAttribute("aria-label", [person.name, isSelf && "you", holds && "has the crown", person.afk && "away"].filter(Boolean).join(", "));
}

function gone(id) {
  const person = people.get(id);
  if (!person) return;
  person.item?.remove();
  person.cursor?.remove();
  people.delete(id);
  if ($("person").open && $("person").dataset.of === id) $("person").close();
}

function showCursor(person) {
  if (person.id === net.own?._id) return;
  if (!person.cursor) {
    person.cursor = element("div", "cursor");
    person.cursor.innerHTML = '<svg width="18" height="22" viewBox="0 0 18 22"><path d="M1 1v17l4.500-4 3 7 3-1.300-3-6.700H15z" stroke="#fff" stroke-width="1.500" fill="currentColor"/></svg><span></span>';
    $("cursors").append(person.cursor);
  }
  const label = person.cursor.lastElementChild;
  person.cursor.style.color = person.color;
  label.textContent = person.name;
  label.style.background = person.color;
  label.style.color = isLight(person.color) ? "#000" : "#fff";
  const isSeen = person.x >= 0 && person.x <= 100 && person.y >= 0 && person.y <= 100;
  person.cursor.hidden = !isSeen;
  const box = $("stage");
  person.cursor.style.transform = `translate(${(person.x * box.clientWidth) / 100}px, ${(person.y * box.clientHeight) / 100}px)`;
}
addEventListener("resize", () => people.forEach(showCursor));

let cursor;
$("stage").addEventListener("pointermove", (event) => {
  const box = $("stage").getBoundingClientRect();
  const part = (at, from, size) => ((100 * (at - from)) / size).toFixed(2);
  cursor = { m: "m", x: part(event.clientX, box.left, box.width), y: part(event.clientY, box.top, box.height) };
});
setInterval(() => {
  if (cursor) net.send(cursor);
  cursor = undefined;
}, CURSOR_EVERY);

net.addEventListener("p", ({ detail }) => come(detail));
net.addEventListener("bye", ({ detail }) => gone(detail.p));
net.addEventListener("m", ({ detail }) => {
  const person = people.get(detail.id);
  if (!person) return;
  Object.assign(person, { x: Number(detail.x), y: Number(detail.y) });
  showCursor(person);
});
net.addEventListener("nq", ({ detail }) => {
  if (quota.max !== detail.max) points = detail.max;
  quota = detail;
  showQuota();
});

// ---- the room

net.addEventListener("ch", ({ detail }) => {
  channel = detail.ch;
  setPeople(detail.ppl);
  $("where").textContent = channel._id;
  document.title = `${channel._id} – Bowline`;
  document.documentElement.style.setProperty("--room", channel.settings.color ?? "#73b3cc");
  $("settings-button").hidden = !isHolder();
  const silent = channel.settings.chat === false;
  $("say").disabled = silent;
  $("say").placeholder = silent ? "There is no chat in this room" : "Say something";
  if (silent) net.unsay().forEach((text) => event(`Not said, for there is no chat here: ${text}`));
  const hash = `#${encodeURIComponent(channel._id)}`;
  if (location.hash !== hash && detail.p) history.replaceState(null, "", hash);
  if ($("person").open) showPersonDialog();
});
net.addEventListener("room", ({ detail }) => {
  $("lines").replaceChildren();
  event(`You are in ${detail}.`);
});
net.addEventListener("hi", ({ detail }) => {
  const set = {};
  const [name, color] = [store.get("bowline-name"), store.get("bowline-color")];
  if (name && name !== detail.u.name) set.name = name;
  if (color && color !== detail.u.color) set.color = color;
  if (Object.keys(set).length) net.send({ m: "userset", set });
});
net.addEventListener("state", ({ detail }) => {
  const words = { connecting: "Connecting", online: "Connected", offline: "Connection lost" };
  $("state").dataset.state = detail;
  if ($("state-text").textContent !== words[detail]) $("state-text").textContent = words[detail];
});
net.addEventListener("away", ({ detail }) => toast("Disconnected", detail));
net.addEventListener("notification", ({ detail }) => toast(detail.title, detail.text, detail.duration));
addEventListener("hashchange", () => wanted() !== channel._id && net.enter(wanted()));

function toast(title, text, duration = 7000) {
  const made = element("div", "toast");
  if (title && title !== "Notice") made.append(element("strong", "", title));
  made.append(element("span", "", text ?? ""));
  $("toasts").append(made);
  setTimeout(() => made.remove(), Math.min(30_000, Math.max(2000, duration)));
}

// ---- the chat

let isAtEnd = true;
$("lines").addEventListener("scroll", () => {
  const lines = $("lines");
  isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  if (isAtEnd) $("newest").hidden = true;
});
$("newest").onclick = () => {
  isAtEnd = true;
  follow();
};

function follow() {
  if (isAtEnd) {
    $("lines").scrollTop = $("lines").scrollHeight;
    $("newest").hidden = true;
  } else {
    $("newest").hidden = false;
  }
}

function add(made) {
  const lines = $("lines");
  const firstPending = lines.querySelector(".pending");
  lines.insertBefore(made, firstPending);
  while (lines.childElementCount > MAX_LINES) lines.firstElementChild.remove();
  follow();
}

function event(text) {
  add(element("p", "event", text));
}

function lineOf(person, text, at) {
  const made = element("p");
  const who = element("span", "who", person.name);
  who.style.setProperty("--of", person.color);
  made.append(who, document.createTextNode(text));
  if (at) {
    const time = element("time", "", new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    time.dateTime = new Date(at).toISOString();
    made.append(time);
  }
  return made;
}

net.addEventListener("line", ({ detail }) => {
  const made = lineOf(detail.p, detail.a, detail.t);
  made.dataset.id = detail.id;
  add(made);
});
net.addEventListener("unsaid", ({ detail }) => event(`Not said, for ${detail.why}: ${detail.text}`));
net.addEventListener("missed", () => event("More was said while you were away than can be shown."));
net.addEventListener("pending", () => {
  document.querySelectorAll(".lines .pending").forEach((made) => made.remove());
  const own = people.get(net.own?._id) ?? { name: store.get("bowline-name") ?? "You", color: "#8899aa" };
  for (const { text } of net.pending) {
    const made = lineOf(own, text);
    made.classList.add("pending");
    made.title = "Not sent yet";
    $("lines").append(made);
  }
  follow();
});
$("form").onsubmit = (submitted) => {
  submitted.preventDefault();
  const text = $("say").value.trim();
  if (!text) return;
  $("say").value = "";
  isAtEnd = true;
  net.say(text);
};

// ---- dialogs

const rooms = new Map();
$("rooms-button").onclick = () => {
  rooms.clear();
  $("list").replaceChildren();
  $("rooms").showModal();
  $("enter-name").value = "";
  $("enter-name").focus();
  net.send({ m: "+ls" });
};
$("rooms").onclose = () => net.send({ m: "-ls" });
net.addEventListener("ls", ({ detail }) => {
  if (detail.c) rooms.clear();
  for (const listed of detail.u) {
    if (listed.count > 0) rooms.set(listed._id, listed);
    else rooms.delete(listed._id);
  }
  const focused = document.activeElement?.dataset?.room;
  const sorted = [...rooms.values()].sort((a, b) => b.count - a.count || a._id.localeCompare(b._id));
  $("list").replaceChildren(...sorted.map((listed) => {
    const button = element("button");
    button.type = "button";
    button.dataset.room = listed._id;
    button.append(element("span", "where", listed._id), element("span", "count", `${listed.count} here`));
    button.onclick = () => enter(listed._id);
    const item = element("li");
    item.append(button);
    return item;
  }));
  if (focused) $("list").querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
});
function enter(room) {
  $("rooms").close();
  net.enter(room);
  $("piano").focus();
}
$("enter").onsubmit = (submitted) => {
  submitted.preventDefault();
  const room = $("enter-name").value.trim();
  if (room) enter(room);
};

function openPerson(id) {
  $("person").dataset.of = id;
  showPersonDialog();
  $("person").showModal();
}

function showPersonDialog() {
  const person = people.get($("person").dataset.of);
  if (!person) return;
  const isSelf = person.id === net.own?._id;
  const crown = channel.crown;
  const isFree = crown && !crown.participantId;
  $("person-title").textContent = isSelf ? "You" : person.name;
  $("profile").hidden = !isSelf;
  if (isSelf && !$("person").open) {
    $("profile-name").value = person.name;
    $("profile-color").value = person.color;
  }
  $("take").hidden = !(isSelf && isFree);
  $("drop").hidden = !(isSelf && isHolder());
  $("give").hidden = isSelf || !isHolder();
  $("kick-row").hidden = isSelf || !isHolder();
  $("person-note").textContent = isSelf || isHolder() ? "" : channel.crown ? "Who has the crown can give it away, and kick." : "Nobody has a crown in this room.";
}
const act = (message) => {
  net.send(message);
  $("person").close();
};
$("take").onclick = () => act({ m: "chown", id: net.own._id });
$("drop").onclick = () => act({ m: "chown" });
$("give").onclick = () => act({ m: "chown", id: $("person").dataset.of });
$("kick").onclick = () => {
  const person = people.get($("person").dataset.of);
  if (person) act({ m: "kickban", _id: person._id, ms: Number($("kick-minutes").value) * 60_000 });
};
$("profile").onsubmit = (submitted) => {
  submitted.preventDefault();
  const set = { name: $("profile-name").value.trim(), color: $("profile-color").value };
  if (!set.name) return;
  store.set("bowline-name", set.name);
  store.set("bowline-color", set.color);
  act({ m: "userset", set });
};

$("settings-button").onclick = () => {
  const { settings } = channel;
  for (const name of ["visible", "chat", "crownsolo"]) $(`set-${name}`).checked = settings[name] === true;
  $("set-color").value = settings.color;
  $("set-limit").value = settings.limit ?? "";
  $("settings").showModal();
};
$("settings-form").onsubmit = (submitted) => {
  submitted.preventDefault();
  const set = { color: $("set-color").value, color2: channel.settings.color2, limit: $("set-limit").value ? Number($("set-limit").value) : null };
  for (const name of ["visible", "chat", "crownsolo"]) set[name] = $(`set-${name}`).checked;
  net.send({ m: "chset", set });
  $("settings").close();
};
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (clicked) => clicked.target === dialog && dialog.close());
}
document.documentElement.dataset.ready = "true";
