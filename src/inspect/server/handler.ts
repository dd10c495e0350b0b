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

/** How to mount the inspector of a runtime in your own server. */
export interface InspectorHandlerOptions extends InspectorViewOptions {
  readonly runtime: Runtime
  /**
   * The secret in its address: 16 to 1024 letters, digits, `-` and `_`. Default: a random one, see {@link
   * InspectorHandler.path}.
   */
  readonly token?: string
  /**
   * Authorizes each request after the token was checked; any result but `true` refuses it, and so does an exception.
   */
  readonly authorize?: (request: HttpRequest) => boolean | Promise<boolean>
  /**
   * Host names by which the server may be addressed, with a port or for every port; `any` if something else checks
   * them, which requires `authorize`. Default: `localhost`, `127.0.0.1` and `[::1]`.
   */
  readonly hosts?: readonly string[] | 'any'
  /** The base path of its routes, for instance `/inspect`, unless the framework strips it. Default: none. */
  readonly basePath?: string
  /** Called for each entry of the stream; false leaves it out. */
  readonly filter?: (entry: StreamEntry) => boolean
  /** Default: the system clock. */
  readonly clock?: Clock
  /** Receives the faults of the inspector. */
  readonly logger?: Logger
}

/**
 * Handles requests for the inspector. It can be passed directly to `node:http`, to Express (`app.use('/inspect',
 * handler)`) and to Fastify (`reply.hijack(); handler(request.raw, reply.raw)`). With `next`, requests without a route
 * are passed on.
 */
export interface InspectorHandler extends InspectorRequestHandler, AsyncDisposable {
  /** The path of the page, including the secret: `/inspect/<token>/`. */
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

/** The default number of entries that are held. */
const defaultCapacity = 10_000

/**
 * Creates the inspector of a runtime for your own server: a page that shows live what happens in the runtime, and is
 * read-only unless `actions` allows more. It costs nothing until somebody opens it.
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
