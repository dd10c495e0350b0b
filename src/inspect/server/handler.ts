import * as v from 'valibot'
import { systemClock, type Clock } from '../../base/clock.js'
import { decode } from '../../base/decode.js'
import { InvalidInputError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { secretKeys } from '../../base/mask.js'
import { guardedLogger } from '../../base/observers.js'
import { functionSchema, nameSchema, optionsSchema, portSchema } from '../../base/options.js'
import { clockSchema, loggerSchema } from '../../base/ports.js'
import type { HttpRequest } from '../../http/route.js'
import type { Runtime } from '../../runtime.js'
import { inspectorViewEntries, type InspectorViewOptions } from '../../runtime-options.js'
import { RuntimeSource } from '../sources/runtime-source.js'
import type { StreamEntry } from '../stream/protocol.js'
import { ShownValues } from '../stream/shown-values.js'
import { randomToken, serveSource, type InspectorRequestHandler } from './inspector-server.js'

/** How the inspector of a runtime is mounted in a server of yours. */
export interface InspectorHandlerOptions extends InspectorViewOptions {
  readonly runtime: Runtime
  /** The secret in its address: 16 to 1024 letters, digits, `-` and `_`. Default: a random one, see {@link InspectorHandler.path}. */
  readonly token?: string
  /** Decides about each request, after the token; anything but `true` refuses it, and so does what it throws. */
  readonly authorize?: (request: HttpRequest) => boolean | Promise<boolean>
  /**
   * Names by which the server is reached, with a port or for every port; `any` where something else checks them, which needs
   * `authorize`. Default: `localhost`, `127.0.0.1` and `[::1]`.
   */
  readonly hosts?: readonly string[] | 'any'
  /** Where it begins, for instance `/inspect`, unless the framework takes that away. Default: none. */
  readonly basePath?: string
  /** The last look at an entry of the stream; false keeps it out. */
  readonly filter?: (entry: StreamEntry) => boolean
  /** Default: that of the system. */
  readonly clock?: Clock
  /** Hears of the faults of the inspector. */
  readonly logger?: Logger
}

/**
 * Answers requests for the inspector; can be passed on as it is: to `node:http`, to Express (`app.use('/inspect', handler)`), to
 * Fastify (`reply.hijack(); handler(request.raw, reply.raw)`). With `next` a request that it has no route for is passed on.
 */
export interface InspectorHandler extends InspectorRequestHandler, AsyncDisposable {
  /** Where the page is, with the secret in it: `/inspect/<token>/`. */
  readonly path: string
}

const tokenSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^[\w-]{16,1024}$/.test(input),
  'not 16 to 1024 letters, digits, - and _',
)

const pathSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^(\/[^/?#]+)+$/.test(input),
  'not a path such as /inspect, without a slash at its end',
)

const optionsOfHandler = optionsSchema<InspectorHandlerOptions>({
  ...inspectorViewEntries,
  runtime: portSchema<Runtime>(['findSession', 'sessions']),
  token: v.optional(tokenSchema),
  authorize: v.optional(functionSchema<NonNullable<InspectorHandlerOptions['authorize']>>()),
  hosts: v.optional(v.union([v.literal('any'), v.array(nameSchema)], 'neither a list of names nor "any"')),
  basePath: v.optional(pathSchema),
  filter: v.optional(functionSchema<NonNullable<InspectorHandlerOptions['filter']>>()),
  clock: v.optional(clockSchema),
  logger: v.optional(loggerSchema),
})

/** Entries that are held unless told otherwise. */
const defaultCapacity = 10_000

/**
 * The inspector of a runtime, for a server of yours: a page that shows live what happens in it, and does nothing unless
 * `actions` says so. Nobody pays for it before somebody looks.
 *
 * Raises `invalid_input` naming the option.
 */
export function createInspectorHandler(options: InspectorHandlerOptions): InspectorHandler {
  const decoded = decode(optionsOfHandler, options, 'inspector handler options')
  const { runtime, token = randomToken(), authorize, hosts, basePath = '', filter } = decoded
  if (hosts === 'any' && authorize === undefined) {
    throw new InvalidInputError({
      subject: 'inspector handler options',
      field: 'hosts',
      reason: '"any" needs authorize',
    })
  }
  const { actions = false, values = false, mask, sample = 1, capacity = defaultCapacity } = decoded
  const { clock = systemClock } = decoded
  const logger = guardedLogger(decoded.logger)
  const source = new RuntimeSource({
    runtime,
    clock,
    logger,
    shown: new ShownValues({ values, isSecret: secretKeys(mask) }),
    actions,
    sample,
    capacity,
    filter,
    name: runtime.inspected.dataDir ?? 'runtime',
  })
  const handler = serveSource({ source, token, hosts, basePath, authorize, clock, logger })
  return Object.assign(handler, {
    path: `${basePath}/${token}/`,
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  })
}
