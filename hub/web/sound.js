// A small piano: partials that fade, the high ones sooner. Nothing sounds before the user has done something, as browsers ask.

const PARTIALS = [1, 0.55, 0.3, 0.16, 0.1, 0.06, 0.04];
const MAX_VOICES = 48;

export class Sound {
  #context;
  #out;
  #wave;
  #voices = new Map();
  volume = 0.7;

  /// To be called when the user does something.
  wake() {
    if (!this.#context) {
      const Context = window.AudioContext ?? window.webkitAudioContext;
      if (!Context) return;
      this.#context = new Context({ latencyHint: "interactive" });
      const limit = this.#context.createDynamicsCompressor();
      this.#out = this.#context.createGain();
      this.#out.gain.value = this.volume;
      this.#out.connect(limit).connect(this.#context.destination);
      const real = new Float32Array(PARTIALS.length + 1);
      const imag = Float32Array.from([0, ...PARTIALS]);
      this.#wave = this.#context.createPeriodicWave(real, imag);
    }
    if (this.#context.state === "suspended") this.#context.resume();
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.#out) this.#out.gain.value = volume;
  }

  /// Strikes a key of somebody.
  start(of, pitch, velocity) {
    if (this.#context?.state !== "running") return;
    this.stop(of, pitch);
    if (this.#voices.size >= MAX_VOICES) {
      const [oldest] = this.#voices.keys();
      this.#end(oldest, 0.03);
    }
    const at = this.#context.currentTime;
    const length = 5.5 - pitch / 26;
    const tone = this.#context.createOscillator();
    tone.setPeriodicWave(this.#wave);
    tone.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
    const filter = this.#context.createBiquadFilter();
    filter.type = "lowpass";
    filter.frequency.setValueAtTime(Math.min(12_000, tone.frequency.value * (3 + 7 * velocity)), at);
    filter.frequency.exponentialRampToValueAtTime(Math.max(200, tone.frequency.value * 1.4), at + length);
    const gain = this.#context.createGain();
    gain.gain.setValueAtTime(0.0001, at);
    gain.gain.exponentialRampToValueAtTime(Math.max(0.002, 0.3 * velocity), at + 0.006);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + length);
    tone.connect(filter).connect(gain).connect(this.#out);
    tone.start(at);
    tone.stop(at + length);
    const id = `${of} ${pitch}`;
    const voice = { tone, gain };
    tone.onended = () => this.#voices.get(id) === voice && this.#voices.delete(id);
    this.#voices.set(id, voice);
  }

  stop(of, pitch) {
    this.#end(`${of} ${pitch}`, 0.18);
  }

  #end(id, seconds) {
    const voice = this.#voices.get(id);
    if (!voice) return;
    this.#voices.delete(id);
    const at = this.#context.currentTime;
    voice.gain.gain.cancelScheduledValues(at);
    voice.gain.gain.setTargetAtTime(0, at, seconds / 3);
    voice.tone.stop(at + seconds * 2);
  }
}
