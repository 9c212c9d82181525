// The keys: drawn, and played by mouse, touch and keyboard.

const NAMES = ["c", "cs", "d", "ds", "e", "f", "fs", "g", "gs", "a", "as", "b"];
const ROWS = [
  // What lies on the keyboard, wherever the letters are, and how many semitones above the octave's C it is.
  ["KeyZ", 0], ["KeyS", 1], ["KeyX", 2], ["KeyD", 3], ["KeyC", 4], ["KeyV", 5], ["KeyG", 6], ["KeyB", 7], ["KeyH", 8], ["KeyN", 9], ["KeyJ", 10], ["KeyM", 11],
  ["Comma", 12], ["KeyL", 13], ["Period", 14], ["Semicolon", 15], ["Slash", 16],
  ["KeyQ", 12], ["Digit2", 13], ["KeyW", 14], ["Digit3", 15], ["KeyE", 16], ["KeyR", 17], ["Digit5", 18], ["KeyT", 19], ["Digit6", 20], ["KeyY", 21], ["Digit7", 22], ["KeyU", 23],
  ["KeyI", 24], ["Digit9", 25], ["KeyO", 26], ["Digit0", 27], ["KeyP", 28], ["BracketLeft", 29], ["Equal", 30], ["BracketRight", 31],
];
const STEPS = new Map(ROWS);

/// Keys from A-1 to C7, as the protocol names them; `pitch` counts semitones, A at 440 Hz is 69.
export const KEYS = Array.from({ length: 88 }, (_, index) => {
  const pitch = index + 21;
  const octave = Math.floor(pitch / 12) - 2;
  return { pitch, name: `${NAMES[pitch % 12]}${octave}`, isBlack: NAMES[pitch % 12].length === 2 };
});
const BY_NAME = new Map(KEYS.map((key) => [key.name, key]));

export class Piano {
  octave = 3;
  #element;
  #onPlay;
  #keys = new Map();
  #held = new Map();
  #pointers = new Map();
  #lit = new Map();

  /// `onPlay(key, velocity)`; a velocity of 0 lets the key go.
  constructor(element, onPlay) {
    this.#element = element;
    this.#onPlay = onPlay;
    this.#draw();
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) addEventListener(type, (event) => this.#up(event));
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    addEventListener("blur", () => this.release());
  }

  #draw() {
    const whites = KEYS.filter((key) => !key.isBlack).length;
    let white = 0;
    for (const key of KEYS) {
      const element = document.createElement("div");
      element.className = `key ${key.isBlack ? "black" : "white"}`;
      element.dataset.key = key.name;
      const width = 100 / whites;
      if (key.isBlack) {
        element.style.width = `${width * 0.62}%`;
        element.style.left = `${white * width - width * 0.31}%`;
      } else {
        element.style.width = `${width}%`;
        element.style.left = `${white * width}%`;
        white++;
        if (key.name.startsWith("c")) {
          const label = document.createElement("span");
          label.textContent = `C${Number(key.name.slice(1)) + 1}`;
          element.append(label);
        }
      }
      this.#keys.set(key.name, element);
      this.#element.append(element);
    }
    this.#mark();
  }

  /// Shows which keys the keyboard reaches.
  #mark() {
    const reached = new Set(Array.from(STEPS.values(), (step) => this.#at(step)?.name));
    for (const [name, element] of this.#keys) element.classList.toggle("reach", reached.has(name));
  }

  #at(step) {
    return KEYS[12 * (this.octave + 1) + step - 21];
  }

  shift(by) {
    this.release();
    this.octave = Math.min(6, Math.max(1, this.octave + by));
    this.#mark();
    const middle = this.#keys.get(this.#at(16)?.name ?? "c7");
    middle?.scrollIntoView({ block: "nearest", inline: "center", behavior: "smooth" });
    return this.octave;
  }

  #down(event) {
    const element = event.target.closest(".key");
    if (!element || event.button > 0) return;
    // So that a finger or a mouse can slide over the keys.
    if (element.hasPointerCapture(event.pointerId)) element.releasePointerCapture(event.pointerId);
    const box = element.getBoundingClientRect();
    const velocity = 0.35 + 0.6 * Math.min(1, (event.clientY - box.top) / box.height);
    this.#press(event.pointerId, element.dataset.key, velocity);
  }

  #move(event) {
    const key = this.#pointers.get(event.pointerId);
    if (key === undefined || event.pointerType === "touch") return;
    const under = event.target.closest?.(".key")?.dataset.key;
    if (under && under !== key) {
      this.#up(event);
      this.#press(event.pointerId, under, 0.6);
    }
  }

  #press(pointer, name, velocity) {
    this.#pointers.set(pointer, name);
    this.#onPlay(BY_NAME.get(name), velocity);
  }

  #up(event) {
    const name = this.#pointers.get(event.pointerId);
    if (name === undefined) return;
    this.#pointers.delete(event.pointerId);
    this.#onPlay(BY_NAME.get(name), 0);
  }

  /// Takes in a key of the keyboard; says whether it plays.
  keydown(event) {
    const step = STEPS.get(event.code);
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.repeat || this.#held.has(event.code)) return true;
    const key = this.#at(step);
    if (key) {
      this.#held.set(event.code, key);
      this.#onPlay(key, event.shiftKey ? 0.95 : 0.65);
    }
    return true;
  }

  keyup(event) {
    const key = this.#held.get(event.code);
    if (!key) return;
    this.#held.delete(event.code);
    this.#onPlay(key, 0);
  }

  /// Lets everything go that is held.
  release() {
    for (const key of [...this.#held.values(), ...Array.from(this.#pointers.values(), (name) => BY_NAME.get(name))]) this.#onPlay(key, 0);
    this.#held.clear();
    this.#pointers.clear();
  }

  /// Shows that a key is struck in this colour, or let go.
  light(name, color) {
    const element = this.#keys.get(name);
    if (!element) return;
    clearTimeout(this.#lit.get(name));
    if (color) {
      element.style.setProperty("--hit", color);
      element.classList.add("on");
      this.#lit.set(name, setTimeout(() => this.light(name), 1500));
    } else {
      element.style.removeProperty("--hit");
      element.classList.remove("on");
    }
  }

  key(name) {
    return BY_NAME.get(name);
  }
}
