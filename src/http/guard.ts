import { createHash, timingSafeEqual } from 'node:crypto'
import { StatewardError } from '../base/errors.js'
import type { HttpRequest } from './route.js'

/** Who may send requests. See {@link HttpHandlerOptions}. */
export interface GuardOptions {
  readonly token: readonly string[]
  readonly authorize: ((request: HttpRequest) => boolean | Promise<boolean>) | undefined
  readonly hosts: readonly string[] | 'any'
  readonly origins: readonly string[]
}

/** Names of this machine: the default for `hosts`. */
export const localHosts: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Decides whether a request is allowed. */
export class Guard {
  readonly #options: GuardOptions
  readonly #digests: readonly Buffer[]

  constructor(options: GuardOptions) {
    this.#options = options
    this.#digests = options.token.map(digestOf)
  }

  /**
   * Refuses requests for an unknown host name. A web page can point its own name at this machine (DNS rebinding); the
   * browser then sends that name. Raises `host_refused`.
   */
  checkHost(host: string | undefined): void {
    const { hosts } = this.#options
    if (hosts === 'any') return
    const given = host?.toLowerCase() ?? ''
    const name = given.replace(/:\d{1,5}$/, '')
    if (given !== '' && hosts.some((known) => known === given || known === name)) return
    throw new StatewardError('host_refused', 'this service does not answer to that host', {})
  }

  /** Refuses requests that a page of another origin sends through a user's browser. Raises `origin_refused`. */
  checkOrigin(origin: string | undefined, host: string | undefined): void {
    if (origin === undefined || this.#options.origins.includes(origin)) return
    if (URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase()) return
    throw new StatewardError('origin_refused', 'this service does not answer to pages of that origin', {})
  }

  /**
   * Raises `unauthorized` without a valid token, `forbidden` unless `authorize` returns `true`, and whatever
   * `authorize` throws.
   */
  async checkCaller(request: HttpRequest): Promise<void> {
    const { authorize } = this.#options
    if (this.#digests.length > 0 && !this.#hasToken(request)) {
      throw new StatewardError('unauthorized', 'send a token as `authorization: Bearer ...`', {})
    }
    if (authorize === undefined) return
    const answer: unknown = await authorize(request)
    if (answer !== true) throw new StatewardError('forbidden', 'this is not yours to ask', {})
  }

  #hasToken(request: HttpRequest): boolean {
    const [, given] = /^Bearer +(\S+) *$/i.exec(request.header('authorization') ?? '') ?? []
    if (given === undefined) return false
    const digest = digestOf(given)
    // All tokens are compared, so that the timing does not reveal which one nearly matched.
    return this.#digests.filter((known) => timingSafeEqual(known, digest)).length > 0
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
