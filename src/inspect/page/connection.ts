import { batch, signal, type ReadonlySignal } from '@preact/signals'
import { systemClock } from '../../base/clock.js'
import { RecordingSource } from '../sources/recording-source.js'
import type {
  ActionAnswer,
  ActionRequest,
  HelloMessage,
  Sample,
  ServerMessage,
  StreamEntry,
  ViewName,
  ViewOf,
  ViewRequest,
} from '../stream/protocol.js'

/** How many entries the page keeps itself; older ones are requested from the server. */
const keptEntries = 2_000
const keptSamples = 600

/** Raised when the server has refused a request, with the server's message. */
export class Refused extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * `connecting` also while the browser reconnects by itself; `ended`: the server has announced that nothing more will
 * come, for now.
 */
export type ConnectionStatus = 'connecting' | 'live' | 'ended' | 'refused'

/**
 * The connection to the server: its stream of messages as signals, and requests. Everything that arrives within one
 * animation frame is shown together in that frame.
 */
export class Connection {
  readonly #status = signal<ConnectionStatus>('connecting')
  readonly #hello = signal<HelloMessage | undefined>(undefined)
  readonly #entries = signal<readonly StreamEntry[]>([])
  readonly #oldest = signal(1)
  readonly #samples = signal<readonly Sample[]>([])
  readonly #versions = signal<Readonly<Partial<Record<ViewName, number>>>>({})
  readonly #missed = signal(0)
  readonly #isRecording = signal(false)
  readonly #farewell = signal<string | undefined>(undefined)
  #waiting: ServerMessage[] = []
  #frame: number | undefined
  #source: EventSource | undefined
  #recording: { readonly source: RecordingSource; readonly over: AbortController } | undefined

  get status(): ReadonlySignal<ConnectionStatus> {
    return this.#status
  }

  get hello(): ReadonlySignal<HelloMessage | undefined> {
    return this.#hello
  }

  /** The last entries of the stream, oldest first. */
  get entries(): ReadonlySignal<readonly StreamEntry[]> {
    return this.#entries
  }

  /** Number of the last entry of the stream. */
  get newest(): number {
    return this.#entries.peek().at(-1)?.n ?? this.#hello.peek()?.newest ?? 0
  }

  /** Number of the first entry whose time can be shown. */
  get oldest(): ReadonlySignal<number> {
    return this.#oldest
  }

  /** Samples since the page was opened, oldest first. */
  get samples(): ReadonlySignal<readonly Sample[]> {
    return this.#samples
  }

  /** How often each view has changed; a screen that shows a view requests it again then. */
  get versions(): ReadonlySignal<Readonly<Partial<Record<ViewName, number>>>> {
    return this.#versions
  }

  /** Entries that this page missed because it was slow or late. */
  get missed(): ReadonlySignal<number> {
    return this.#missed
  }

  /** Whether a recording is shown that was opened in the page. */
  get isRecording(): ReadonlySignal<boolean> {
    return this.#isRecording
  }

  /** Why no more messages will come. */
  get farewell(): ReadonlySignal<string | undefined> {
    return this.#farewell
  }

  open(): void {
    const source = new EventSource('events')
    this.#source = source
    source.addEventListener('open', () => (this.#status.value = 'live'))
    source.addEventListener('error', () => {
      if (this.#status.value !== 'ended')
        this.#status.value = source.readyState === EventSource.CLOSED ? 'refused' : 'connecting'
    })
    for (const type of ['hello', 'entries', 'sample', 'changed', 'bye'] satisfies ServerMessage['type'][])
      source.addEventListener(type, ({ data }: MessageEvent<string>) =>
        this.#receive(JSON.parse(data) as ServerMessage),
      )
  }

  /**
   * Shows a recording instead of the server, until the page is reloaded. The file is read in the page and not sent
   * anywhere. Rejects with `invalid_input` if it is not a recording; then nothing changes. `onProgress` receives the
   * fraction that has been read, from 0 to 1.
   */
  async openRecording(file: File, onProgress: (fraction: number) => void): Promise<void> {
    const over = new AbortController()
    const source = await RecordingSource.open({
      file: {
        name: file.name,
        read: async (from, many) => new Uint8Array(await file.slice(from, from + many).arrayBuffer()),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      },
      release: this.#hello.value?.release ?? '',
      clock: systemClock,
      signal: over.signal,
      onRead: (bytes) => onProgress(bytes / file.size),
    })
    this.close()
    this.#recording = { source, over }
    this.#waiting = []
    batch(() => {
      this.#entries.value = []
      this.#samples.value = []
      this.#missed.value = 0
      this.#isRecording.value = true
      this.#status.value = 'live'
    })
    void this.#follow(source, over.signal)
  }

  async #follow(source: RecordingSource, over: AbortSignal): Promise<void> {
    try {
      for await (const { json } of source.follow(undefined, over)) this.#receive(JSON.parse(json) as ServerMessage)
    } catch (error) {
      // The file is gone, or has been changed.
      this.#farewell.value = error instanceof Error ? error.message : String(error)
      this.#status.value = 'ended'
    }
  }

  close(): void {
    this.#recording?.over.abort()
    this.#source?.close()
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame)
    this.#frame = undefined
  }

  /** Requests a view. Raises {@link Refused}, or the browser's own error if the server does not answer. */
  async ask<Request extends ViewRequest>(request: Request, aborted?: AbortSignal): Promise<ViewOf<Request>> {
    const answer = this.#recording?.source.view(request) ?? this.#post('query', request, aborted)
    return (await answer) as ViewOf<Request>
  }

  /** Requests an action. Raises {@link Refused}. */
  async act(request: ActionRequest): Promise<ActionAnswer> {
    return (await (this.#recording?.source.act(request) ?? this.#post('action', request))) as ActionAnswer
  }

  async #post(address: string, body: object, aborted?: AbortSignal): Promise<unknown> {
    const answer = await fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(aborted !== undefined && { signal: aborted }),
    })
    const said = (await answer.json()) as { code?: string; message?: string }
    if (!answer.ok) throw new Refused(said.code ?? `http_${answer.status}`, said.message ?? answer.statusText)
    return said
  }

  #receive(message: ServerMessage): void {
    this.#waiting.push(message)
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined
      const messages = this.#waiting
      this.#waiting = []
      batch(() => this.#show(messages))
    })
  }

  #show(messages: readonly ServerMessage[]): void {
    const entries: StreamEntry[] = []
    const samples: Sample[] = []
    const versions = { ...this.#versions.value }
    for (const message of messages) {
      switch (message.type) {
        case 'hello':
          if (message.stream !== this.#hello.value?.stream) this.#entries.value = []
          this.#hello.value = message
          this.#oldest.value = Math.max(1, message.oldest)
          this.#farewell.value = undefined
          for (const view of message.views) versions[view] = (versions[view] ?? 0) + 1
          break
        case 'entries':
          this.#oldest.value = Math.max(1, message.oldest)
          for (const entry of message.entries) {
            entries.push(entry)
            if (entry.type === 'gap') this.#missed.value += entry.n - entry.from + 1
          }
          break
        case 'sample':
          samples.push(message.sample)
          break
        case 'changed':
          for (const view of message.views) versions[view] = (versions[view] ?? 0) + 1
          break
        case 'bye':
          this.#farewell.value = message.reason
          this.#status.value = 'ended'
          // A service may be restarted at the same address, so the browser keeps trying.
          if (this.#hello.value?.source.type !== 'runtime') this.#source?.close()
          break
      }
    }
    this.#versions.value = versions
    if (entries.length > 0) this.#entries.value = [...this.#entries.value, ...entries].slice(-keptEntries)
    if (samples.length > 0) this.#samples.value = [...this.#samples.value, ...samples].slice(-keptSamples)
  }
}

/** The connection of this page. */
export const connection = new Connection()
