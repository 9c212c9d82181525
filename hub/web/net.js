// The connection to the server: it comes back by itself, and lines that were said are said once.

const DELAYS = [50, 400, 1000, 2000, 4000];
const BEAT = 15_000;
const SILENCE = 35_000;
/// The server takes 4 lines in 4 s; a little less often, so that none is refused.
const LINES_AT_ONCE = 3;
const LINE_EVERY = 1150;
/// How long the answer to a change of rooms is waited for: the server may be silent about one that is refused.
const MOVING = 5_000;

/// A secret that makes this browser the same user everywhere and always.
function token() {
  try {
    const known = localStorage.getItem("bowline-token");
    if (known) return known;
    const bytes = crypto.getRandomValues(new Uint8Array(24));
    const made = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    localStorage.setItem("bowline-token", made);
    return made;
  } catch {
    return Array.from({ length: 6 }, () => Math.random().toString(36).slice(2)).join("");
  }
}

export class Net extends EventTarget {
  #token = token();
  #socket;
  #attempt = 0;
  #heard = 0;
  #timers = [];
  /// Lines that were said and not seen in the log: { text, room, nr, life: the connection on which it was sent, or 0 }. Under one nr
  /// the server hears a line once.
  pending = [];
  #nr = Date.now() * 1000 + Math.floor(Math.random() * 1000);
  #life = 0;
  #lastId = 0;
  #allowed = LINES_AT_ONCE;
  #sayTimer;
  room = "lobby";
  #at;
  /// The room that was asked for last and not answered: what is said meanwhile is meant for that one, and waits.
  #asked;
  own;
  offset = 0;

  constructor(room) {
    super();
    this.room = room;
    setInterval(() => {
      this.#allowed = Math.min(LINES_AT_ONCE, this.#allowed + 1);
      this.#flush();
    }, LINE_EVERY);
    addEventListener("online", () => this.#again(0));
    this.#connect();
  }

  get isOnline() {
    return this.#at !== undefined;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.#socket = socket;
    this.#life++;
    this.#heard = Date.now();
    this.#tell("state", "connecting");
    socket.onopen = () => this.send({ m: "hi", token: this.#token });
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#heard = Date.now();
      for (const message of JSON.parse(data)) this.#take(message);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#lost(code, reason);
    };
    clearInterval(this.#timers[0]);
    this.#timers[0] = setInterval(() => {
      if (Date.now() - this.#heard > SILENCE) {
        socket.close();
        this.#lost(0, "");
      } else {
        this.send({ m: "t", e: Date.now() });
      }
    }, BEAT);
  }

  #lost(code, reason) {
    clearInterval(this.#timers[0]);
    this.#socket = undefined;
    this.#at = undefined;
    this.#asked = undefined;
    this.#tell("state", "offline");
    if (code >= 4000 && code !== 4000) this.#tell("away", reason);
    const delay = code === 4009 ? DELAYS.at(-1) : DELAYS[Math.min(this.#attempt++, DELAYS.length - 1)];
    this.#again(delay * (0.75 + Math.random() / 2));
  }

  #again(delay) {
    if (this.#socket) return;
    clearTimeout(this.#timers[1]);
    this.#timers[1] = setTimeout(() => this.#socket || this.#connect(), delay);
  }

  send(...messages) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(messages));
  }

  enter(room) {
    this.room = room;
    if (this.#at !== undefined && (room !== this.#at || this.#asked !== undefined)) {
      this.#asked = room;
      clearTimeout(this.#timers[2]);
      this.#timers[2] = setTimeout(() => this.#stay(), MOVING);
    }
    this.send({ m: "ch", _id: room });
  }

  /// Whether a room that one is in answers what was asked for. Whatever else is told of rooms meanwhile does not: where one was moved,
  /// what one had asked for before, or that something was missed. A lobby may stand for another one.
  #isAnswer(room) {
    const isLobby = (name) => /^lobby\d*$/.test(name);
    return room === this.#asked || (isLobby(room) && isLobby(this.#asked ?? ""));
  }

  /// Another room was asked for, and there was no answer.
  #stay() {
    if (this.#asked === undefined) return;
    this.#asked = undefined;
    this.room = this.#at;
    this.#dropOthers();
    this.#flush();
  }

  /// Says something, now or as soon as it can be.
  say(text) {
    this.pending.push({ text, room: this.#asked ?? this.#at ?? this.room, nr: ++this.#nr, life: 0 });
    this.#flush();
    this.#tell("pending");
  }

  /// What cannot be said here is given back.
  unsay() {
    const texts = this.pending.filter((line) => line.room === this.#at && !line.life).map((line) => line.text);
    this.pending = this.pending.filter((line) => line.room !== this.#at || line.life);
    this.#tell("pending");
    return texts;
  }

  /// Lines that were said for another room than this one are told, each.
  #dropOthers() {
    const others = this.pending.filter((line) => line.room !== this.#at && line.room !== this.#asked);
    for (const line of others) {
      this.#giveUp(line, line.life ? "you left before it was seen in the room: it may have been heard or not" : `it was for ${line.room}`);
    }
  }

  #flush() {
    if (this.#asked !== undefined) return;
    for (const line of this.pending) {
      if (line.life || line.room !== this.#at) continue;
      if (this.#allowed < 1) return;
      this.#allowed--;
      line.life = this.#life;
      this.send({ m: "a", message: line.text, nr: line.nr, room: line.room });
    }
  }

  #take(message) {
    switch (message.m) {
      case "hi":
        this.#attempt = 0;
        this.own = message.u;
        this.offset = message.t - Date.now();
        this.#tell("hi", message);
        this.send({ m: "ch", _id: this.room });
        return;
      case "t":
        if (message.e) this.offset = message.t - (Number(message.e) + Date.now()) / 2;
        return;
      case "ch":
        if (message.p) {
          const isSame = this.last === message.ch._id;
          this.last = message.ch._id;
          this.#at = message.ch._id;
          if (this.#isAnswer(this.#at)) this.#asked = undefined;
          this.room = this.#asked ?? this.#at;
          if (!isSame) {
            this.#lastId = 0;
            this.#tell("room", message.ch._id);
          }
          this.#dropOthers();
          this.#tell("state", "online");
        }
        this.#tell("ch", message);
        return;
      case "c":
        this.#history(message.c);
        return;
      case "a":
        this.#line(message);
        return;
      case "unsaid":
        this.#unsaid(message);
        return;
      default:
        this.#tell(message.m, message);
    }
  }

  #history(lines) {
    const isWhole = lines.length < 32 || Number(lines[0].id) <= this.#lastId + 1;
    if (this.#lastId > 0 && !isWhole) this.#tell("missed");
    lines.forEach((line) => this.#line(line, true));
    // What was sent on an earlier connection and is not in the log did not arrive; unless it is in what is not shown.
    for (const line of this.pending.filter((line) => line.life && line.life < this.#life)) {
      if (isWhole) line.life = 0;
      else this.#giveUp(line, "the connection was lost, and it may have been heard or not");
    }
    this.#flush();
  }

  #giveUp(line, why) {
    this.pending.splice(this.pending.indexOf(line), 1);
    this.#tell("unsaid", { text: line.text, why });
    this.#tell("pending");
  }

  #unsaid({ nr, why, final }) {
    const line = this.pending.find((waiting) => waiting.nr === nr);
    if (!line) return;
    if (final) return this.#giveUp(line, why);
    line.life = 0;
    this.#allowed = 0;
    this.#tell("pending");
  }

  #line(line, isOld = false) {
    const id = Number(line.id);
    if (id <= this.#lastId) return;
    this.#lastId = id;
    if (line.p._id === this.own?._id) {
      const index = this.pending.findIndex((waiting) => waiting.life && waiting.text.trim() === line.a.trim());
      if (index >= 0) this.pending.splice(index, 1);
    }
    this.#tell("line", { ...line, isOld });
    this.#tell("pending");
  }
}
